#!/usr/bin/env python3
"""What rnnc emits, as others see it: compilers' warnings, static analysis, symbols, the same bytes.

    emitted.py [--rnnc=build/rnnc] [--other=RNNC ...] [--programs=FOLDER ...] [--all] [--only=PART]
               [--jobs=N] FOLDER

FOLDER takes what is emitted: every model of the examples, tests and FOLDERs of programs, for two
targets, some with the functions of training, too, some with a pool of threads. `--other` names a
second build of rnnc, whose output must have the same bytes. Without `--all` the slow parts take a
sample of the files, always the same one, with some that take a pool among them. A program that is
not installed is skipped with a line. Exit status 1 if a part has something to say.
"""
import glob
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
SOURCES = ["examples/**/*.rnn", "tests/golden/programs/*.rnn", "tests/numeric/programs/*.rnn",
           "tests/numeric/carried/*.rnn", "tests/models/*.rnn"]
TARGETS = {"generic": ["--target=generic"], "v3": ["--cpu=x86-64-v3"]}
STRICT = ("-std=c99 -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow "
          "-Wdouble-promotion -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wundef "
          "-Werror").split()
# clang looks for variables that are not set in a time that grows with the square of a function:
# minutes for one of 50,000 lines. gcc looks at all files.
LONG, CLANG_LONG = 1 << 20, ["-Wno-uninitialized", "-Wno-sometimes-uninitialized"]
# What a freestanding compiler may call for a copy or a fill.
ALLOWED = {"memcpy", "memset"}
POOL = {"rnn_rt_pool_for", "rnn_rt_pool_run", "rnn_rt_pool_barrier"}  # what code with threads calls, beside that
# Answers that are no defect: what is not compiled yet, and sizes that a file leaves open.
REFUSED = ("[E-LOWER]", "[E-SIZEARG]", "[E-GRAD]")
TRAINED = "_trained"   # in the prefix of a model in train mode, with loss and grad
THREADED = "_threads"  # ends the prefix of one that takes a pool
NATIVE = platform.machine() in ("x86_64", "AMD64")


def run(line, **more):
    return subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, errors="replace", **more)


def sample(items, most):
    """At most so many of the items, spread evenly; the same ones at every run."""
    if len(items) <= most:
        return list(items)
    return [items[i * len(items) // most] for i in range(most)]


def chunks(items, size):
    return [items[i:i + size] for i in range(0, len(items), size)]


class Emitted:
    def __init__(self, options, folder):
        self.rnnc = os.path.abspath(options["rnnc"])
        self.others = [os.path.abspath(other) for other in options["other"]]
        self.programs = [os.path.abspath(path) for path in options["programs"]]
        self.all = options["all"]
        self.folder = os.path.abspath(folder)
        self.pool = ThreadPoolExecutor(options["jobs"])
        self.bad = 0
        self.models = []                                  # (file, model, prefix)
        self.files = {target: [] for target in TARGETS}   # prefixes that were emitted

    # ---- Helpers ----

    def breach(self, text):
        self.bad += 1
        if self.bad <= 20:
            print("emitted: " + text.strip()[:2000], flush=True)

    def each(self, work, items):
        """work(item) gives what is wrong, or None; on all processors."""
        for text in self.pool.map(work, items):
            if text:
                self.breach(text)

    def silent(self, line, where):
        result = run(line, cwd=where)
        if result.returncode or result.stdout.strip():
            return "%s: status %d\n%s" % (" ".join(line[:12]), result.returncode, result.stdout)
        return None

    def have(self, program):
        if shutil.which(program):
            return True
        print("skipped: %s is not installed" % program)
        return False

    def names(self, target, most):
        names = self.files[target]
        return names if self.all else self.some(names, most)

    def some(self, names, most):
        """At most so many of the names, a fifth of them with threads."""
        threaded = sample([name for name in names if name.endswith(THREADED)], max(most // 5, 1))
        rest = [name for name in names if not name.endswith(THREADED)]
        return sample(rest, most - len(threaded)) + threaded

    def where(self, target):
        return os.path.join(self.folder, target)

    def slow(self, compiler, target, name):
        """Flags of a compiler for a file that is too long for a warning of it."""
        size = os.path.getsize(os.path.join(self.where(target), name))
        return CLANG_LONG if compiler == "clang" and size > LONG else []

    def c_files(self, target, most):
        return [name + ".c" for name in self.names(target, most)]

    # ---- Emitting ----

    def find(self):
        files = [path for pattern in SOURCES
                 for path in sorted(glob.glob(os.path.join(ROOT, pattern), recursive=True))]
        files += [path for folder in self.programs
                  for path in sorted(glob.glob(os.path.join(folder, "*.rnn")))]
        taken = set()
        for path in files:
            with open(path, encoding="utf-8") as source:
                text = source.read()
            base = re.sub(r"\W", "_", os.path.basename(path)[:-4])
            for model in re.findall(r"^model\s+(\w+)", text, re.M):
                prefix = "m%s_%s" % (base, model)
                if prefix in taken:
                    raise SystemExit("two models are called " + prefix)
                taken.add(prefix)
                self.models.append((path, model, prefix))
        # Code for training is long; without --all one model in three.
        self.models += [(path, model, prefix + TRAINED)
                        for path, model, prefix in self.models[::1 if self.all else 3]]
        self.models += [(path, model, prefix + THREADED)
                        for path, model, prefix in self.models[::5 if self.all else 30]]

    def command(self, rnnc, model, kind, target, out):
        path, name, prefix = model
        return [rnnc, path, "--model=" + name, "--prefix=" + prefix, "--emit=" + kind,
                "-o", out] + TARGETS[target] + (["--mode=train"] if TRAINED in prefix else []) + \
            (["--threads=2"] if prefix.endswith(THREADED) else [])

    def emit(self):
        self.find()
        shutil.rmtree(self.folder, ignore_errors=True)
        for target in TARGETS:
            os.makedirs(self.where(target))

        def one(job):
            model, target = job
            out = os.path.join(self.where(target), model[2] + ".c")
            result = run(self.command(self.rnnc, model, "c", target, out))
            if result.returncode == 1 and any(code in result.stdout for code in REFUSED):
                return model, target, False, None
            return model, target, result.returncode == 0, result.stdout
        jobs = [(model, target) for target in TARGETS for model in self.models]
        for model, target, good, words in self.pool.map(one, jobs):
            if words and not good:
                self.breach("%s %s: %s" % (model[0], model[1], words))
            if good:
                self.files[target].append(model[2])
        for target in TARGETS:
            if not self.files[target]:
                self.breach("nothing was emitted for " + target)
        return sum(len(names) for names in self.files.values())

    # ---- Parts ----

    def part_warnings(self):
        """Parsing gives most warnings; those of the optimisers come with `symbols`."""
        count = 0
        for compiler in ("gcc", "clang"):
            if not self.have(compiler):
                continue
            jobs = []
            for target in TARGETS:
                files = self.c_files(target, 10 ** 6)
                march = ["-march=x86-64-v3"] if target == "v3" and NATIVE else []
                # With the instruction set and without: other macros of the prelude.
                halves = [(files[0::2], march), (files[1::2], [])]
                if compiler == "clang" and not self.all:
                    halves = [(files[0::6], march), (files[3::6], [])]
                if march and self.all:
                    halves = [(files, march), (files, [])]
                for half, flags in halves:
                    for more in ([], CLANG_LONG):
                        those = [name for name in half if self.slow(compiler, target, name) == more]
                        jobs += [([compiler, "-fsyntax-only"] + STRICT + flags + more + some,
                                  self.where(target)) for some in chunks(those, 24)]
                    count += len(half)
            self.each(lambda job: self.silent(*job), jobs)
        return count

    def part_header(self):
        """All headers in one file of C++ and in one of C99, twice."""
        count = 0
        for target in TARGETS:
            names = self.files[target]
            for suffix in ("cc", "c"):
                with open(os.path.join(self.where(target), "all." + suffix), "w") as out:
                    for name in names + names:
                        out.write('#include "%s.h"\n' % name)
            for compiler in ("g++", "clang++", "gcc", "clang"):
                if not self.have(compiler):
                    continue
                plus = compiler.endswith("++")
                flags = ["-std=c++11", "-Wall", "-Wextra", "-Werror"] if plus else STRICT
                text = self.silent([compiler, "-fsyntax-only"] + flags +
                                   ["all.cc" if plus else "all.c"], self.where(target))
                if text:
                    self.breach(text)
                count += len(names)
        return count

    def part_tcc(self):
        if not self.have("tcc"):
            return 0
        where = self.where("generic")
        files = self.c_files("generic", 10 ** 6)

        def one(name):
            return self.silent(["tcc", "-Wall", "-Werror", "-c", "-o", name[:-2] + ".tcc.o", name],
                               where)
        self.each(one, files)
        return len(files)

    def part_symbols(self):
        """Optimised, silent; calls nothing but its pool, and nothing in it can be written."""
        jobs, pooled = [], []
        for compiler in ("gcc", "clang"):
            if not self.have(compiler):
                continue
            for target, most in (("generic", 8), ("v3", 12)):
                march = ["-march=x86-64-v3"] if target == "v3" and NATIVE else []
                files = self.c_files(target, most)
                jobs += [(compiler, march, target, name) for name in files]

        def one(job):
            compiler, march, target, name = job
            where = self.where(target)
            thing = "%s.%s.o" % (name[:-2], compiler)
            text = self.silent([compiler, "-O2", "-c", "-o", thing] + STRICT + march +
                               self.slow(compiler, target, name) + [name], where)
            if text:
                return text
            told, threaded = [], name.endswith(THREADED + ".c")
            for line in run(["nm", thing], cwd=where).stdout.splitlines():
                kind, symbol = line.split()[-2:]
                if kind == "U" and threaded and symbol in POOL:
                    pooled.append(thing)
                elif kind == "U" and symbol not in ALLOWED:
                    told.append("calls " + symbol)
                if kind in "cC":
                    told.append("the common symbol " + symbol)
            for line in run(["objdump", "-h", thing], cwd=where).stdout.splitlines():
                words = line.split()
                # Tables of strings are filled in by the loader: .data.rel.ro.
                if len(words) == 7 and words[0].isdigit() and int(words[2], 16) and re.match(
                        r"\.(data(?!\.rel\.ro)|sdata|bss|sbss|tdata|tbss|init_array|ctors)", words[1]):
                    told.append("section %s of 0x%s bytes" % (words[1], words[2]))
            if told:
                return "%s of %s %s: %s" % (thing, compiler, " ".join(march), ", ".join(told))
            return None
        self.each(one, jobs)
        if jobs and not pooled:
            self.breach("no file with threads runs anything on its pool")
        return len(jobs)

    def part_tidy(self):
        if not self.have("clang-tidy"):
            return 0
        count, jobs = 0, []
        for target, most in (("generic", 10), ("v3", 10)):
            march = ["-march=x86-64-v3"] if target == "v3" and NATIVE else []
            files = self.c_files(target, most)
            jobs += [(some, march, target) for some in chunks(files, 6)]
            count += len(files)

        def one(job):
            files, march, target = job
            result = run(["clang-tidy", "--quiet", "--config-file=" + os.path.join(HERE, ".clang-tidy"),
                          "--header-filter=.*"] + files + ["--", "-std=c99"] + march,
                         cwd=self.where(target))
            told = [line for line in result.stdout.splitlines() if re.search(r" (warning|error): ", line)]
            return "\n".join(told) if told or result.returncode else None
        self.each(one, jobs)
        return count

    def part_misra(self):
        if not self.have("cppcheck"):
            return 0
        deviations, used = {}, {}
        with open(os.path.join(HERE, "deviations.txt"), encoding="utf-8") as table:
            for line in table:
                words = line.split(None, 1)
                if len(words) == 2 and not line.startswith("#"):
                    deviations[words[0]] = words[1].strip()
        jobs = []
        for target, most in (("generic", 2), ("v3", 2)):
            where = self.where(target)
            files = sorted(self.files[target],
                           key=lambda name: (os.path.getsize(os.path.join(where, name + ".c")), name))
            # What cppcheck takes grows faster than the file: small ones, and with --all the smaller half.
            files = files[:len(files) // 2] if self.all else self.some(files[:len(files) // 4], most)
            jobs += [(target, name + ".c") for name in files]

        def one(job):
            target, name = job
            line = ["cppcheck", "-q", "--addon=misra", "--std=c99", "--max-configs=1", "--platform=unix64",
                    "--enable=warning,style,performance,portability", "--inline-suppr",
                    "--suppress=missingIncludeSystem", "--template={id}\t{file}:{line}\t{message}",
                    "-D__GNUC__=12", "-D__x86_64__=1"]
            if target == "v3":
                line += ["-D__AVX__=1", "-D__AVX2__=1", "-D__FMA__=1"]
            found = []
            where = os.path.join(self.where(target), name)
            with tempfile.TemporaryDirectory() as own:  # it keeps a list of files where it runs
                result = run(line + [where], cwd=own)
            for row in result.stdout.replace(where, name).splitlines():
                words = row.split("\t")
                if len(words) == 3:
                    found.append((words[0].replace("misra-c2012-", ""), words[1], words[2]))
                elif row.strip():
                    found.append(("cppcheck", name, row))
            return found
        for found in self.pool.map(one, jobs):
            for rule, place, words in found:
                used[rule] = used.get(rule, 0) + 1
                if rule not in deviations:
                    self.breach("%s: %s [%s]" % (place, words, rule))
        if self.all:
            for rule in sorted(set(deviations) - set(used)):
                print("deviations.txt: %s never occurs" % rule)
            print("deviations: " + ", ".join("%s %d" % pair for pair in sorted(used.items())))
        return len(jobs)

    def part_bytes(self):
        """Another build, folder, environment, umask, heap and layout of addresses: equal bytes."""
        locales = run(["locale", "-a"]).stdout.split() if shutil.which("locale") else []
        foreign = [name for name in locales if re.match(r"(tr_TR|de_DE|fr_FR|pl_PL)", name)]
        if not foreign:
            print("skipped: no locale with a decimal comma is installed")
        env = dict(os.environ, LC_ALL=foreign[0] if foreign else "C.UTF-8", TZ="Pacific/Chatham",
                   HOME=os.sep, TERM="dumb", MALLOC_PERTURB_="165", COLUMNS="40", RNNC_UNUSED="x" * 5000)
        fixed = ["setarch", "-R"] if shutil.which("setarch") else []
        if fixed and run(fixed + ["true"]).returncode:
            fixed = []
        elsewhere = os.path.join(self.folder, "else where")
        os.makedirs(elsewhere, exist_ok=True)
        jobs = [(rnnc, model, target, kind) for rnnc in [self.rnnc] + self.others
                for model in self.models for target, kind in
                [("generic", "c"), ("v3", "c"), ("v3", "manifest"), ("v3", "schedule")]
                if model[2] in self.emitted]
        if not self.all:
            jobs = [job for job in jobs if job[3] == "c" or len(job[1][2]) % 4 == 0]

        def read(path):
            with open(path, "rb") as file:
                return file.read()

        def one(job):
            rnnc, model, target, kind = job
            number = jobs_at[job]
            out = os.path.join(elsewhere, "%d" % number, model[2] + ("." + kind if kind != "c" else ".c"))
            os.makedirs(os.path.dirname(out))
            relative = (os.path.relpath(model[0], elsewhere),) + model[1:]
            line = self.command(rnnc, relative, kind, target, os.path.relpath(out, elsewhere))
            result = run(["sh", "-c", "umask 077; exec \"$@\"", "sh"] + fixed + line, cwd=elsewhere, env=env)
            if result.returncode:
                return "%s: status %d\n%s" % (" ".join(line), result.returncode, result.stdout)
            if kind == "c":
                plain = os.path.join(self.where(target), model[2] + ".c")
            else:
                plain = out + ".plain"
                run(self.command(self.rnnc, model, kind, target, plain))
            told = None
            for a, b in ((out, plain), (out[:-2] + ".h", plain[:-2] + ".h"))[:2 if kind == "c" else 1]:
                if read(a) != read(b):
                    told = "%s of %s: other bytes than %s" % (a, rnnc, b)
            if not told:
                shutil.rmtree(os.path.dirname(out))
            return told
        jobs_at = {job: i for i, job in enumerate(jobs)}
        self.each(one, jobs)
        return len(jobs)

    # ---- All of it ----

    def main(self, only):
        start = time.time()
        count = self.emit()
        self.emitted = set(self.files["generic"]) & set(self.files["v3"])
        print("emitted: %d files of %d models in %.0f s" % (count, len(self.models), time.time() - start))
        for part in ("warnings", "header", "tcc", "symbols", "tidy", "misra", "bytes"):
            if only and part not in only:
                continue
            start, before = time.time(), self.bad
            count = getattr(self, "part_" + part)()
            print("%s: %d looked at, %d breaches, %.0f s" % (part, count, self.bad - before,
                                                             time.time() - start), flush=True)
        return 1 if self.bad else 0


def main(argv):
    options = {"rnnc": "build/rnnc", "other": [], "programs": [], "all": False, "only": [],
               "jobs": os.cpu_count() or 1}
    rest = []
    for word in argv:
        name, _, value = word.partition("=")
        name = name[2:] if name.startswith("--") else ""
        if name == "all":
            options["all"] = True
        elif name in ("other", "programs", "only"):
            options[name].append(value)
        elif name in ("rnnc", "jobs"):
            options[name] = int(value) if name == "jobs" else value
        elif not name:
            rest.append(word)
        else:
            raise SystemExit("unknown option " + word)
    if len(rest) != 1:
        raise SystemExit(__doc__)
    return Emitted(options, rest[0]).main(options["only"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
