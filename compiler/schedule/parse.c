/* Reads the text form of a Schedule. One line at a time; an error skips to the end of its line. The
 * graph supplies axes, indices, ports, parameters and, by the number of a value, what operations
 * need beside their operands; its spans become those of the lines. What is checked here is what
 * keeps readers of the arrays safe: every number refers to something. All else is for
 * schedule_verify.
 *
 *   schedule NAME [first | last | mixed] [chains=N] [without CHOICE …]     of the graph's model
 *   VALUE                                     inputs, parameters, constants, positions: read where
 * they lie map | block                               outside of all loops | inside loop AXIS
 * forward|backward                or scan; what is indented deeper is inside stage N prologue VALUE
 *   family n=N [index …]                      with the indices that it walks over
 *   acc v …
 *   segment USE K=N chains=N: v …             the products that read it
 *   output NAME = v        stop AXIS when v   # comment
 *
 *   VALUE    v[t, …]: TYPE [once] = SIDE [-> STORAGE]
 *   v        NAME.7, or v7 and, a constant, c7
 *   SIDE     input NAME | const X | param VIEW | product VIEW @ USE | OP USE, … | [-] TERM + TERM -
 * … TERM     USE | USE*USE USE      v | v[AT, … [else v] [carry NAME in AXIS]] AT       index[+N] |
 * N*index[+N] | index/N | first | last VIEW     NAME[+OFFSET](ROWS:STRIDE, COLUMNS:STRIDE) STORAGE
 * register | single | (inplace | history | rows)[BEFORE:AFTER, …] [else v] | in v */
#include "schedule/parse.h"

#include <string.h>

/* --- loops and blocks --- */

/* Closes the loops that a line with this indent is not inside of. */
static void leave_loops(ParseSchedule *p, uint32_t indent) {
    while (p->depth && p->indents[p->depth - 1] >= indent) p->depth--;
}

static void add_nest(ParseSchedule *p, SNest *nest) {
    if (p->depth)
        vec_push(p->r.arena, &p->loops[p->depth - 1]->children, nest);
    else
        vec_push(p->r.arena, &p->schedule->nests, nest);
    p->block = NULL;
    p->family = NULL;
    p->stage = -1;
}

static void parse_loop(ParseSchedule *p, uint32_t indent, bool scan) {
    static const char *const ways[] = {"forward", "backward"};
    Reader *r = &p->r;
    SNest *nest = ARENA_NEW(r->arena, SNest);
    leave_loops(p, indent);
    nest->kind = NEST_LOOP;
    nest->scan = scan;
    nest->axis = reader_axis(r);
    nest->backward = reader_choice(r, ways, 2, "expected forward or backward") == 1;
    for (int i = 0; i < p->depth && !r->failed; i++)
        if (p->loops[i]->axis == nest->axis)
            reader_fail(r, "a loop around is over this axis already");
    if (p->depth == MAX_DOMAIN) reader_fail(r, "too many loops");
    if (r->failed) return;
    nest->number = p->loop_number++;
    add_nest(p, nest);
    p->loops[p->depth] = nest;
    p->indents[p->depth++] = indent;
}

static void parse_block(ParseSchedule *p, uint32_t indent) {
    Reader *r = &p->r;
    SNest *nest = ARENA_NEW(r->arena, SNest);
    Block *block = ARENA_NEW(r->arena, Block);
    leave_loops(p, indent);
    nest->kind = NEST_BLOCK;
    nest->block = block;
    block->number = p->schedule->blocks.count;
    block->loop_count = p->depth;
    for (int i = 0; i < p->depth; i++) block->loops[i] = p->loops[i]->axis;
    vec_push(r->arena, &p->schedule->blocks, block);
    add_nest(p, nest);
    p->block = block;
}

static void parse_stage(ParseSchedule *p) {
    Reader *r = &p->r;
    int stage = reader_small(r);
    if (!r->failed && !p->block) reader_fail(r, "a stage outside of a block");
    if (!r->failed && stage != p->block->stages)
        reader_fail(r, "stages are numbered from 0 without a gap");
    if (r->failed) return;
    p->stage = stage;
    p->block->stages = stage + 1;
    p->family = NULL;
}

static void parse_family(ParseSchedule *p) {
    Reader *r = &p->r;
    Family *family = ARENA_NEW(r->arena, Family);
    reader_expect_word(r, "n");
    reader_expect(r, '=');
    family->count = reader_int(r);
    while (!r->failed && !reader_at_end(r)) {
        if (family->domain_count == MAX_DOMAIN)
            reader_fail(r, "too many indices");
        else
            family->domain[family->domain_count++] = reader_index(r);
    }
    if (!r->failed && p->stage < 0) reader_fail(r, "a family outside of a stage");
    if (r->failed) return;
    family->number = p->schedule->families.count;
    family->stage = p->stage;
    vec_push(r->arena, &p->schedule->families, family);
    vec_push(r->arena, &p->block->families, family->number);
    p->family = family;
}

static void parse_segment(ParseSchedule *p) {
    Reader *r = &p->r;
    Segment segment = {.operand = parse_use(p)};
    reader_expect_word(r, "K");
    reader_expect(r, '=');
    segment.length = reader_int(r);
    reader_expect_word(r, "chains");
    reader_expect(r, '=');
    segment.chains = reader_small(r);
    reader_expect(r, ':');
    while (!r->failed && !reader_at_end(r))
        vec_push(r->arena, &segment.products, parse_value_name(p, NULL));
    if (!r->failed && !p->family) reader_fail(r, "a segment outside of a family");
    if (!r->failed) vec_push(r->arena, &p->family->segments, segment);
}

static void parse_accumulators(ParseSchedule *p) {
    Reader *r = &p->r;
    if (!p->family) reader_fail(r, "accumulators outside of a family");
    while (!r->failed && !reader_at_end(r)) {
        int value = parse_value_name(p, NULL);
        if (!r->failed) vec_push(r->arena, &p->family->accs, value);
    }
}

/* --- values and what leaves --- */

static void parse_prologue(ParseSchedule *p) {
    Reader *r = &p->r;
    if (p->stage < 0) reader_fail(r, "a prologue outside of a stage");
    if (p->family) reader_fail(r, "a prologue behind a family of its stage");
    if (r->failed) return;
    Value *value = parse_value_line(p);
    if (!value) return;
    if (schedule_is_leaf(value)) {
        reader_fail(r, "inputs and constants stand before all blocks");
        return;
    }
    value->block = p->block->number;
    value->stage = p->stage;
    value->nest = p->depth ? p->loops[p->depth - 1]->number : -1;
    vec_push(r->arena, &p->block->prologues, value->id);
    vec_push(r->arena, &p->block->values, value->id);
}

static void parse_value(ParseSchedule *p) {
    Reader *r = &p->r;
    Value *value = parse_value_line(p);
    if (!value) return;
    if (schedule_is_leaf(value)) {
        if (p->schedule->nests.count)
            reader_fail(r, "inputs and constants stand before all blocks");
        return;
    }
    if (!p->family) {
        reader_fail(r, "a value outside of a family");
        return;
    }
    if (!p->family->values.count) p->family->batched = value->batched;
    value->block = p->block->number;
    value->stage = p->stage;
    value->family = p->family->number;
    value->nest = p->depth ? p->loops[p->depth - 1]->number : -1;
    vec_push(r->arena, &p->family->values, value->id);
    vec_push(r->arena, &p->block->values, value->id);
}

static void parse_output(ParseSchedule *p) {
    Reader *r = &p->r;
    const Graph *graph = r->graph;
    Name name = reader_name(r);
    int found = -1;
    for (int i = 0; name && i < graph->outputs.count; i++)
        if (graph->outputs.at[i].name == name) found = i;
    if (!r->failed && (found < 0 || p->output[found]))
        reader_fail(r, "no such output, or named before");
    reader_expect(r, '=');
    if (!r->failed) p->output[found] = 1 + parse_value_name(p, NULL);
}

static void parse_stop(ParseSchedule *p) {
    Reader *r = &p->r;
    const Graph *graph = r->graph;
    int axis = reader_axis(r), found = -1;
    reader_expect_word(r, "when");
    for (int i = graph->stops.count - 1; i >= 0; i--)
        if (graph->stops.at[i].axis == axis && !p->stop[i]) found = i;
    if (!r->failed && found < 0) reader_fail(r, "the graph has no such stop");
    if (!r->failed) p->stop[found] = 1 + parse_value_name(p, NULL);
}

/* --- lines --- */

static void parse_head(ParseSchedule *p) {
    Reader *r = &p->r;
    Name name = reader_name(r);
    if (!r->failed && name != r->graph->model) reader_fail(r, "the graph is of another model");
    if (reader_accept_word(r, "first"))
        p->schedule->rule = INDEX_FIRST;
    else if (reader_accept_word(r, "last"))
        p->schedule->rule = INDEX_LAST;
    else if (reader_accept_word(r, "mixed"))
        p->schedule->rule = INDEX_MIXED;
    if (reader_accept_word(r, "chains")) {
        reader_expect(r, '=');
        int chains = reader_small(r);
        if (!r->failed && (chains < 1 || chains > MOST_FORCED_CHAINS))
            reader_fail(r, "a number of chains from 1 to 4");
        p->schedule->choices.chains = r->failed ? 0 : chains;
    }
    if (r->failed || !reader_accept_word(r, "without")) return;
    do {
        name = reader_name(r);
        Choice choice = name ? choice_named(name) : CHOICE_COUNT;
        if (r->failed) return;
        if (choice == CHOICE_COUNT)
            reader_fail(r, "there is no such choice");
        else
            p->schedule->choices.off[choice] = true;
    } while (!reader_at_end(r));
}

static void parse_line(ParseSchedule *p, bool *headed) {
    Reader *r = &p->r;
    uint32_t start = r->at;
    reader_peek(r);
    uint32_t indent = r->at - start;
    if (reader_accept_word(r, "schedule")) {
        parse_head(p);
        *headed = true;
    } else if (reader_accept_word(r, "loop"))
        parse_loop(p, indent, false);
    else if (reader_accept_word(r, "scan"))
        parse_loop(p, indent, true);
    else if (reader_accept_word(r, "map")) {
        parse_block(p, indent);
        if (p->depth) reader_fail(r, "a map is outside of all loops");
    } else if (reader_accept_word(r, "block")) {
        parse_block(p, indent);
        if (!p->depth) reader_fail(r, "a block is inside of a loop");
    } else if (reader_accept_word(r, "stage"))
        parse_stage(p);
    else if (reader_accept_word(r, "prologue"))
        parse_prologue(p);
    else if (reader_accept_word(r, "family"))
        parse_family(p);
    else if (reader_accept_word(r, "acc"))
        parse_accumulators(p);
    else if (reader_accept_word(r, "segment"))
        parse_segment(p);
    else if (reader_accept_word(r, "output"))
        parse_output(p);
    else if (reader_accept_word(r, "stop"))
        parse_stop(p);
    else
        parse_value(p);
    if (!r->failed && !reader_at_end(r)) reader_fail(r, "expected the end of the line");
    const char *text = r->source->text;
    while (r->at < r->source->length && text[r->at] != '\n') r->at++;
}

static void fail_at(ParseSchedule *p, Span span, const char *message) {
    diag_error(p->r.diags, "E-SYNTAX", span, "%s", message);
}

static void check_mention(ParseSchedule *p, const Mention *mention) {
    const Schedule *schedule = p->schedule;
    const Value *value =
        mention->value < schedule->values.count ? schedule->values.at[mention->value] : NULL;
    if (!value) {
        diag_error(p->r.diags, "E-SYNTAX", mention->span, "value %d is not defined",
                   mention->value);
        return;
    }
    if (value->name != mention->name)
        fail_at(p, mention->span, "the value of this number has another name");
    if (mention->access >= 0 &&
        schedule->accesses.at[mention->access].at_count != value->domain_count)
        fail_at(p, mention->span, "one position for each index of the value");
}

/* The values of loops, inner ones first: children have larger places in the list of their parent.
 */
static void gather(Arena *arena, SNest *nest) {
    for (int i = 0; i < nest->children.count; i++) {
        SNest *child = nest->children.at[i];
        if (child->kind == NEST_LOOP) {
            gather(arena, child);
            for (int v = 0; v < child->members.count; v++)
                vec_push(arena, &nest->members, child->members.at[v]);
        } else {
            for (int v = 0; v < child->block->values.count; v++)
                vec_push(arena, &nest->members, child->block->values.at[v]);
        }
    }
}

static bool empty_loop(const SNest *nest) {
    if (nest->kind == NEST_BLOCK) return false;
    if (!nest->children.count) return true;
    for (int i = 0; i < nest->children.count; i++)
        if (empty_loop(nest->children.at[i])) return true;
    return false;
}

static void count_reader(void *user, const Use *use, bool boundary) {
    const Schedule *schedule = user;
    (void)boundary;
    schedule->values.at[use->value]->readers++;
}

/* All lines are read and every mention is of something. */
static void finish(ParseSchedule *p) {
    Schedule *schedule = p->schedule;
    Arena *arena = p->r.arena;
    Value *gap = NULL;
    for (int i = 0; i < schedule->values.count; i++) {
        if (schedule->values.at[i]) continue;
        if (!gap) {
            gap = ARENA_NEW(arena, Value);
            gap->kind = VALUE_CONST;
            gap->block = gap->stage = gap->family = gap->nest = gap->acc = gap->boundary = gap->id =
                -1;
        }
        schedule->values.at[i] = gap;
    }
    for (int i = 0; i < schedule->graph->outputs.count; i++)
        vec_push(arena, &schedule->outputs, p->output[i] - 1);
    for (int i = 0; i < schedule->graph->stops.count; i++)
        vec_push(arena, &schedule->stops, p->stop[i] - 1);
    for (int i = 0; i < schedule->values.count; i++)
        schedule_uses(schedule, schedule->values.at[i], count_reader, schedule);
    for (int i = 0; i < schedule->outputs.count; i++)
        schedule->values.at[schedule->outputs.at[i]]->readers++;
    for (int i = 0; i < schedule->stops.count; i++)
        schedule->values.at[schedule->stops.at[i]]->readers++;
    schedule_relations(schedule);
    schedule_boundary_indices(schedule);
    for (int i = 0; i < schedule->nests.count; i++)
        if (schedule->nests.at[i]->kind == NEST_LOOP) gather(arena, schedule->nests.at[i]);
}

Schedule *schedule_parse(Arena *arena, const Graph *graph, const Source *source, Diags *diags) {
    ParseSchedule p = {.r = {.graph = (Graph *)(uintptr_t)graph,
                             .arena = arena,
                             .names = graph->names,
                             .source = source,
                             .diags = diags},
                       .stage = -1};
    int errors = diags->errors;
    bool headed = false;
    p.schedule = ARENA_NEW(arena, Schedule);
    p.schedule->arena = arena;
    p.schedule->graph = graph;
    p.output = ARENA_ARRAY(arena, graph->outputs.count + 1, int);
    p.stop = ARENA_ARRAY(arena, graph->stops.count + 1, int);
    while (p.r.at < source->length && !diags->full) {
        p.r.failed = false;
        if (!reader_at_end(&p.r)) {
            while (p.r.at > 0 && source->text[p.r.at - 1] != '\n') p.r.at--;
            parse_line(&p, &headed);
        }
        if (p.r.at < source->length) p.r.at++;
    }
    if (diags->errors == errors) {
        if (!headed) fail_at(&p, reader_spot(&p.r, 0), "no line 'schedule NAME'");
        for (int i = 0; i < p.mentions.count; i++) check_mention(&p, &p.mentions.at[i]);
        for (int i = 0; i < graph->outputs.count; i++)
            if (!p.output[i])
                fail_at(&p, reader_spot(&p.r, 0), "an output of the graph has no line");
        for (int i = 0; i < graph->stops.count; i++)
            if (!p.stop[i]) fail_at(&p, reader_spot(&p.r, 0), "a stop of the graph has no line");
        for (int i = 0; i < p.schedule->nests.count; i++)
            if (empty_loop(p.schedule->nests.at[i]))
                fail_at(&p, reader_spot(&p.r, 0), "a loop around nothing");
        if (diags->errors == errors) finish(&p);
    }
    return diags->errors == errors ? p.schedule : NULL;
}
