#!/usr/bin/env python3
"""Mutants of passes, schedule and lowering: does a test notice that a line is wrong?

    mutants.py [--count=100] [--seed=1] [--skip=0] [--only=TEXT] [--again=LOG] [--killed=LOG] [--list] FOLDER

Copies the tree to FOLDER/tree (which is kept: the next run builds less), builds and runs the tests
once as they are, then changes one place at a time, drawn evenly over the files: an operator
flipped, a term dropped, a constant off by one, a condition negated, a statement removed. Each
mutant is compiled and the tests run, those that see most of it first, until one fails, crashes or
takes four times its time: killed. Those that survive are run once more under the address and
undefined-behaviour sanitizers. What does not compile is drawn again. equivalent.txt holds mutants
that change nothing that anybody could see, each with its reason; they are left out. Exit status 1
when fewer than 95 of 100 are killed. --again: the survivors of a log instead of drawn ones, those
whose line is still there. --killed: what a log has as killed is not run again where its line still
is (a run that was cut off goes on; several logs: several options). --skip: so many of the drawn
ones are passed over, so that two runs in two folders share a draw. What a file gives depends on
the seed and on that file alone.
Standard library only.
"""
import fnmatch
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
# The text forms and the verifiers decide nothing of what is compiled.
FILES = ["compiler/passes/*.c", "compiler/schedule/*.c", "compiler/loop/lower*.c",
         "compiler/loop/expand*.c"]
LEFT_OUT = ["compiler/schedule/print.c", "compiler/schedule/parse*.c", "compiler/schedule/verify*.c"]
BAR = 95
# The libraries are shared objects here, so a mutant costs one object and one link.
MAKE = ["make", "-s", "CFLAGS=-O2 -fPIC", "WARN=-w", "SAN=", "ARCHIVE=gcc -shared -Wl,-Bsymbolic -o"]
SANITIZED = ["SANFLAGS=-fsanitize=address,undefined -fno-sanitize-recover=all", "SANDEFS=-DRNNC_ARENA_MALLOC"]
# Programs of BUILD with what they are given. Those of the part come first, then all the others,
# what is cheap before what is dear; a list ends at the first that fails.
ORDER = {
    "compiler/passes": ["unit/test_passes", "unit/test_sema_meaning", "unit/test_verify_each"],
    "compiler/schedule": ["unit/test_schedule_depend", "unit/test_schedule_finds",
                          "unit/test_schedule_storage", "unit/test_schedule_verify",
                          "said/test_said_causal", "unit/test_schedule_text"],
    "compiler/loop/expand": ["unit/test_expand", "unit/test_expand_accuracy"],
    "compiler/loop/lower": ["unit/test_lower_tile", "unit/test_schedule_finds"],
}
ALL = ["unit/test_passes", "unit/test_schedule_depend", "unit/test_schedule_finds", "unit/test_sema_errors",
       "numeric/test_numeric_chunks", "said/test_said_causal", "numeric/test_numeric_stream",
       "numeric/test_numeric_delays", "numeric/test_numeric_windows", "numeric/test_numeric_gradient",
       "numeric/test_numeric_random", "numeric/test_numeric_training", "random/test_random_programs",
       "numeric/test_numeric_arguments", "numeric/test_numeric_evaluate", "unit/test_verify_each"]
# What the survivors run once more under sanitizers: what is cheap there.
CHEAP = ["unit/test_passes", "unit/test_schedule_depend", "unit/test_schedule_finds",
         "unit/test_schedule_storage", "unit/test_expand", "said/test_said_causal",
         "numeric/test_numeric_delays"]
# No C compilers otherwise: interpreter and Loop evaluator alone.
SETTINGS = {"PROGRAM_PLAIN": "1", "PROGRAM_SEEDS": "1:150", "NUMERIC_FEW": "1", "CC": "gcc -O0"}
TOKEN = re.compile(r"/\*.*?\*/|//[^\n]*|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
                   r"|[A-Za-z_]\w*|\.?\d[\w.]*(?:[eEpP][+-]\w+)?"
                   r"|<<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|.", re.S | re.M)
FLIPS = {"==": ["!="], "!=": ["=="], "<": ["<=", ">="], "<=": ["<"], ">": [">=", "<="], ">=": [">"],
         "&&": ["||"], "||": ["&&"], "+=": ["-="], "-=": ["+="], "++": ["--"], "--": ["++"],
         "|=": ["="], "&=": ["="]}
WORDS = {"true": "false", "false": "true"}
TYPES = {"const", "static", "int", "bool", "char", "void", "double", "float", "struct", "enum", "union",
         "typedef", "return", "if", "for", "while", "switch", "case", "else", "do", "default", "goto",
         "break", "continue", "unsigned", "size_t", "int64_t", "sizeof", "signed", "long", "extern"}
OPEN, CLOSE = {"(": ")", "[": "]", "{": "}"}, set(")]}")


class Token:
    def __init__(self, text, start):
        self.text, self.start, self.end = text, start, start + len(text)


def tokens_of(text):
    found = []
    for match in TOKEN.finditer(text):
        word = match.group()
        if word.isspace() or word.startswith(("/*", "//")) or word.lstrip(" \t").startswith("#"):
            continue
        found.append(Token(word, match.start()))
    return found


def matching(tokens, i):
    depth = 0
    for j in range(i, len(tokens)):
        if tokens[j].text in OPEN:
            depth += 1
        elif tokens[j].text in CLOSE:
            depth -= 1
            if depth == 0:
                return j
    return len(tokens) - 1


def operand_end(tokens, i, stops):
    """The place behind an operand that begins at token i."""
    while i < len(tokens):
        word = tokens[i].text
        if word in OPEN:
            i = matching(tokens, i)
        elif word in CLOSE or word in stops:
            return i
        i += 1
    return i


def is_operand(token):
    return bool(re.match(r"[\w)\]]", token.text[-1])) and token.text not in ("return", "case", "else")


def mutations(text):
    """(start, end, new text, what) of everything that can be done to a file."""
    tokens, found = tokens_of(text), []
    depth, array_end = 0, -1
    for i, token in enumerate(tokens):
        word = token.text
        if word == "ARENA_ARRAY":
            array_end = matching(tokens, i + 1)
        before = tokens[i - 1] if i else Token("", 0)
        after = tokens[i + 1] if i + 1 < len(tokens) else Token("", len(text))
        depth += (word == "{") - (word == "}")
        if depth == 0:
            continue
        for other in FLIPS.get(word, ()):
            found.append((token.start, token.end, other, "operator flipped"))
        if word in WORDS:
            found.append((token.start, token.end, WORDS[word], "constant changed"))
        # A sign with a blank on both sides is binary here (clang-format), * too.
        spaced = text[token.start - 1] in " \n" and text[token.end:token.end + 1] in (" ", "\n")
        if word in ("+", "-") and spaced and is_operand(before):
            found.append((token.start, token.end, "-" if word == "+" else "+", "operator flipped"))
            end = operand_end(tokens, i + 1, {"+", "-", "<", ">", "<=", ">=", "==", "!=", "&&", "||", "?", ":",
                                              ",", ";", "=", "<<", ">>", "&", "|", "^"})
            found.append((token.start, tokens[end].start, "", "term dropped"))
        if word in ("*", "/", "%") and spaced and is_operand(before) and before.text not in TYPES:
            found.append((token.start, token.end, "+", "operator flipped"))
        if word in ("&&", "||"):
            end = operand_end(tokens, i + 1, {"&&", "||", "?", ":", ",", ";", "="})
            found.append((token.start, tokens[end].start, "", "term dropped"))
        if re.fullmatch(r"\d+", word) and before.text not in ("case",):
            if i > array_end:  # room for one more that nothing uses is nothing that a test could see
                found.append((token.start, token.end, str(int(word) + 1), "off by one"))
            if int(word) > 0:
                found.append((token.start, token.end, str(int(word) - 1), "off by one"))
        if word == "if" and after.text == "(":
            end = matching(tokens, i + 1)
            found.append((after.end, tokens[end].start, "!(%s)" % text[after.end:tokens[end].start],
                          "condition negated"))
        if before.text in (";", "{", "}", ")") and re.match(r"[A-Za-z_]", word) and word not in TYPES:
            if before.text == ")" or after.text not in ("(", "->", ".", "=", "[", "+=", "-=", "|=", "++"):
                continue
            end = operand_end(tokens, i, {";"})
            if end < len(tokens) and tokens[end].text == ";" and "{" not in text[token.start:tokens[end].start]:
                found.append((token.start, tokens[end].start, "(void)0", "statement removed"))
    return sorted(set(found))


class Mutant:
    def __init__(self, path, text, mutation):
        self.path, self.text = path, text
        self.start, self.end, self.new, self.what = mutation
        self.line = text.count("\n", 0, self.start) + 1

    def changed(self):
        return self.text[:self.start] + self.new + self.text[self.end:]

    def lines(self):
        first = self.text.rfind("\n", 0, self.start) + 1
        last = self.text.find("\n", self.end)
        old = self.text[first:last]
        return old, self.text[first:self.start] + self.new + self.text[self.end:last]

    def key(self):
        """As it is written in equivalent.txt: without blanks that a formatter may move."""
        return tuple(" ".join(text.split()) for text in (self.path,) + self.lines())


def equivalent():
    """File, old text, new text, reason: four lines, the last three with a sign before them."""
    known, entry = {}, []
    with open(os.path.join(HERE, "equivalent.txt"), encoding="utf-8") as table:
        for line in table:
            if line.startswith("#") or not line.strip():
                continue
            entry.append(line.rstrip("\n"))
            if len(entry) == 4:
                if [text[:2] for text in entry[1:]] != ["- ", "+ ", "= "]:
                    raise SystemExit("equivalent.txt: not file, -, +, =: " + entry[0])
                key = (entry[0].strip(),) + tuple(" ".join(text[2:].split()) for text in entry[1:3])
                known[key] = entry[3][2:]
                entry = []
    return known


def draw(seed, only):
    """All files in turn, in an order of their own, a mutation of each at random; without end."""
    names = subprocess.run(["git", "ls-files"] + FILES, cwd=ROOT, stdout=subprocess.PIPE,
                           universal_newlines=True, check=True).stdout.split()
    names = [name for name in sorted(names) if only in name and
             not any(fnmatch.fnmatch(name, pattern) for pattern in LEFT_OUT)]
    dice = random.Random(seed)
    dice.shuffle(names)
    places = {}
    for name in names:
        places[name] = all_of(name)
        random.Random("%s %s" % (seed, name)).shuffle(places[name])
    while any(places.values()):
        for name in names:
            if places[name]:
                yield places[name].pop()


def all_of(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        text = file.read()
    return [Mutant(name, text, mutation) for mutation in mutations(text)]


def again(log):
    """The survivors at the end of a log; of equal lines the one nearest to where it was."""
    with open(log, encoding="utf-8") as file:
        found = re.findall(r"^survived: (\S+?):(\d+): .*\n    - (.*)\n    \+ (.*)$", file.read(), re.M)
    for name, line, old, new in found:
        same = [m for m in (all_of(name) if os.path.isfile(os.path.join(ROOT, name)) else [])
                if m.key()[1:] == (old.strip(), new.strip())]
        if same:
            yield min(same, key=lambda m: abs(m.line - int(line)))
        else:
            print("gone     %s:%s\n    - %s" % (name, line, old), flush=True)


def killed_in(log):
    """What a log has as killed: {as in equivalent.txt: by what}."""
    with open(log, encoding="utf-8") as file:
        found = re.findall(r"^killed   (\S+?):\d+: .*\n    - (.*)\n    \+ (.*)\n    by (.*)$", file.read(), re.M)
    return {(name, old.strip(), new.strip()): by for name, old, new, by in found}


class Tree:
    """A copy of the project in which mutants are built."""

    def __init__(self, folder, sanitized=False):
        self.root = os.path.join(os.path.abspath(folder), "tree")
        self.build = "build/sanitized" if sanitized else "build/mutants"
        self.words = MAKE + ["BUILD=" + self.build] + (SANITIZED if sanitized else [])
        self.sanitized = sanitized
        self.times = {}

    def copy(self):
        changed = False
        names = subprocess.run(["git", "ls-files"], cwd=ROOT, stdout=subprocess.PIPE,
                               universal_newlines=True, check=True).stdout.splitlines()
        for name in names:
            source, target = os.path.join(ROOT, name), os.path.join(self.root, name)
            if not os.path.isfile(source):
                continue
            with open(source, "rb") as file:
                data = file.read()
            old = None
            if os.path.isfile(target):
                with open(target, "rb") as file:
                    old = file.read()
            if old != data:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copyfile(source, target)
                shutil.copymode(source, target)
                changed = changed or not name.startswith(("tests/mutants/", "docs/"))
        wanted = set(names)
        for folder, inner, files in os.walk(self.root):
            inner[:] = [name for name in inner if os.path.join(folder, name) != os.path.join(self.root, "build")]
            for name in files:
                if os.path.relpath(os.path.join(folder, name), self.root) not in wanted:
                    os.remove(os.path.join(folder, name))
                    changed = True
        return changed

    def write(self, path, text):
        with open(os.path.join(self.root, path), "w", encoding="utf-8") as file:
            file.write(text)

    def make(self, *goals):
        result = subprocess.run(self.words + [self.build + "/" + goal for goal in goals], cwd=self.root,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
        return None if result.returncode == 0 else result.stdout

    def run(self, program, seconds, limit):
        """None, or why the program has noticed something. Ends at the first failure, after so many
        seconds of the processor, or of the clock."""
        def bounded():
            os.setsid()
            if not self.sanitized:
                resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        path = [os.path.join(self.root, self.build, program)]
        child = subprocess.Popen(path, cwd=self.root, env=dict(os.environ, **SETTINGS),
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 preexec_fn=bounded, universal_newlines=True, errors="replace")
        late = []

        def stop():
            late.append(True)
            os.killpg(child.pid, signal.SIGKILL)
        timer = threading.Timer(limit, stop)
        timer.start()
        told = None
        for line in child.stdout:
            if re.match(r"FAIL |\[  (FAILED|ERROR)  \]|\[   (LINE|ERROR)|.*AddressSan|.*runtime error", line):
                told = line.strip()[:160]
                os.killpg(child.pid, signal.SIGKILL)
                break
        child.stdout.close()
        status = child.wait()
        timer.cancel()
        if late:
            return "more than %.0f s" % limit
        if status == -signal.SIGXCPU:
            return "more than %d s" % seconds
        return told or (None if status == 0 else "status %d" % status)

    def tests_of(self, path):
        first = [test for prefix, tests in ORDER.items() if path.startswith(prefix) for test in tests]
        rest = [test for test in ALL if test not in first]
        return [test for test in first + rest if test in self.times]

    def start(self, changed):
        """Runs everything without a mutant; not again where nothing has changed since."""
        programs = sorted({test for tests in list(ORDER.values()) + [ALL] for test in tests})
        if self.sanitized:
            programs = [program for program in programs if program in CHEAP]
        kept = os.path.join(self.root, self.build, "times.json")
        if changed and os.path.isfile(kept):
            os.remove(kept)
        if os.path.isfile(kept):
            with open(kept, encoding="utf-8") as file:
                self.times = json.load(file)
        for program in [program for program in programs if program not in self.times]:
            if not os.path.isfile(os.path.join(self.root, "tests", program + ".c")):
                raise SystemExit("mutants: there is no tests/%s.c" % program)
            words = self.make(program)
            if words:
                raise SystemExit("mutants: %s does not build:\n%s" % (program, words[-2000:]))
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            told = self.run(program, 3600, 7200)
            if told:
                raise SystemExit("mutants: %s fails without a mutant: %s" % (program, told))
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            self.times[program] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            print("  %6.1f s  %s" % (self.times[program], program), flush=True)
        with open(kept, "w", encoding="utf-8") as file:
            json.dump(self.times, file)

    def judge(self, mutant):
        """(killed, by what); killed is None where it does not compile."""
        made = os.path.join(self.root, self.build, "obj", mutant.path[:-2] + ".o")
        with open(made, "rb") as file:
            whole = file.read()
        source = os.path.join(self.root, mutant.path)
        before = os.stat(source)
        self.write(mutant.path, mutant.changed())
        try:
            words = self.make("librnnc.a")
            if words:
                return None, words
            for program in self.tests_of(mutant.path):
                told = self.run(program, int(10 + 4 * self.times[program]),
                                120 + 100 * self.times[program])
                if told:
                    return True, "%s%s: %s" % ("sanitized " if self.sanitized else "", program, told)
            return False, ""
        finally:  # nothing need be made again
            self.write(mutant.path, mutant.text)
            os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
            with open(made, "wb") as file:
                file.write(whole)


def cut_off(_number, _frame):
    raise KeyboardInterrupt  # the tree is left as it was


def main(argv):
    signal.signal(signal.SIGTERM, cut_off)
    count, seed, skip, only, log, listing, rest, before = 100, 1, 0, "", None, False, [], {}
    for word in argv:
        name, _, value = word.partition("=")
        if name == "--count":
            count = int(value)
        elif name == "--seed":
            seed = int(value)
        elif name == "--skip":
            skip = int(value)
        elif name == "--only":
            only = value
        elif name == "--again":
            log = value
        elif name == "--killed":
            before.update(killed_in(value))
        elif name == "--list":
            listing = True
        else:
            rest.append(word)
    if len(rest) != 1:
        raise SystemExit(__doc__)
    known = equivalent()
    trees = [Tree(rest[0]), Tree(rest[0], sanitized=True)]
    if not listing:
        changed = trees[0].copy()
        for tree in trees:
            tree.start(changed)
    killed, survivors, unbuilt, left_out, begin = 0, [], 0, 0, time.time()
    for mutant in again(log) if log else draw(seed, only):
        if killed + len(survivors) == count:
            break
        if mutant.key() in known:
            left_out += 1
            continue
        if skip > 0:
            skip -= 1
            continue
        old, new = mutant.lines()
        place = "%s:%d: %s\n    - %s\n    + %s" % (mutant.path, mutant.line, mutant.what, " ".join(old.split()),
                                                 " ".join(new.split()))
        if listing:
            killed += 1
            print(place)
            continue
        dead, words = (True, before[mutant.key()]) if mutant.key() in before else trees[0].judge(mutant)
        if dead is False:
            dead, words = trees[1].judge(mutant)
        if dead is None:
            unbuilt += 1
            continue
        if dead:
            killed += 1
            print("killed   %s\n    by %s" % (place, words), flush=True)
        else:
            survivors.append(place)
            print("SURVIVED " + place, flush=True)
        print("  %d killed of %d, %.0f s" % (killed, killed + len(survivors), time.time() - begin), flush=True)
    total = killed + len(survivors)
    if listing:
        return 0
    print("\n%d of %d mutants killed (seed %d); %d more did not compile, %d are known to be equivalent" %
          (killed, total, seed, unbuilt, left_out))
    for place in survivors:
        print("survived: " + place)
    return 0 if 100 * killed >= BAR * total and total else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
