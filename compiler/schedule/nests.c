/* From values to loops and blocks: the dependence analysis on values, and N4 of the normal form
 * (what a sum in a loop takes from outside of the loop becomes one outside sum, so that input
 * products leave the loop). */
#include "schedule/remark.h"

/* --- edges --- */

typedef struct EdgeBuild {
    Schedule *schedule;
    DepEdges *edges;
    const Value *reader;
} EdgeBuild;

static bool reduces_time(const Value *value) {
    return value->kind == VALUE_ROW && (value->op == OP_TSUM || value->op == OP_TMAX ||
                                        value->op == OP_TARGMAX || value->op == OP_TCONCAT);
}

static bool has_index(const Value *value, int index) {
    for (int i = 0; i < value->domain_count; i++)
        if (value->domain[i] == index) return true;
    return false;
}

/* A value as the reader or the source of a use. */
static Wanted wanted_of(const Schedule *schedule, const Value *value) {
    if (value->id < 0) return (Wanted){0}; /* a gap in a text */
    Value *own = schedule->values.at[value->id];
    return (Wanted){value->id, own->domain_count, own->domain, own->relations, schedule->rule};
}

/* A pointer into the past is earlier than the position that holds it. */
static void label_pointers(const Schedule *schedule, const Value *reader, const Wanted *own,
                           const Wanted *source, const At *at, DepEdge *edge) {
    const Graph *graph = schedule->graph;
    for (int d = 0; at && d < source->count; d++) {
        if (at[d].kind != AT_POINTER || at[d].operand >= reader->uses.count) continue;
        const Type *type = &schedule->values.at[reader->uses.at[at[d].operand].value]->type;
        int axis = graph->indices.at[source->domain[d]].axis;
        if (depend_loop_index(graph, source, axis) != source->domain[d]) continue;
        if (type->pointer != PTR_PAST) continue; /* of this axis: no other leads here */
        if (depend_loop_index(graph, own, axis) < 0) continue;
        for (int l = 0; l < edge->label_count; l++)
            if (edge->labels[l].axis == axis) edge->labels[l].kind = LABEL_LT;
    }
}

DepEdge schedule_edge(const Schedule *schedule, const Value *reader, const Use *use) {
    const Value *from = schedule->values.at[use->value];
    const Wanted own = wanted_of(schedule, reader), source = wanted_of(schedule, from);
    DepEdge edge = {.from = from->id, .to = reader->id};
    const At *at = use->access >= 0 ? schedule->accesses.at[use->access].at : NULL;
    depend_labels(schedule->graph, &own, reader->op, reduces_time(reader) ? reader->attr : NULL,
                  &source, at, &edge);
    label_pointers(schedule, reader, &own, &source, at, &edge);
    return edge;
}

typedef struct Search {
    Schedule *schedule;
    const Value *reader;
    int *pending, count;
    bool *queued;
} Search;

static void push(Search *search, int id) {
    if (search->queued[id]) return;
    search->queued[id] = true;
    search->pending[search->count++] = id;
}

static void want(void *user, const Use *use, bool boundary) {
    Search *search = user;
    Schedule *schedule = search->schedule;
    const Value *reader = search->reader;
    const Wanted own = wanted_of(schedule, reader);
    Wanted source = wanted_of(schedule, schedule->values.at[use->value]);
    const At *at = use->access >= 0 ? schedule->accesses.at[use->access].at : NULL;
    (void)boundary;
    if (relation_flow(schedule->graph, &own, reader->op, reduces_time(reader) ? reader->attr : NULL,
                      &source, at))
        push(search, use->value);
}

static void want_all(Schedule *schedule, int id) {
    Wanted wanted = wanted_of(schedule, schedule->values.at[id]);
    relation_all(&wanted);
}

void schedule_relations(Schedule *schedule) {
    int count = schedule->values.count;
    Search search = {.schedule = schedule,
                     .pending = ARENA_ARRAY(schedule->arena, count, int),
                     .queued = ARENA_ARRAY(schedule->arena, count, bool)};
    for (int i = 0; i < count; i++)
        memset(schedule->values.at[i]->relations, 0, sizeof schedule->values.at[i]->relations);
    for (int i = 0; i < schedule->outputs.count; i++) want_all(schedule, schedule->outputs.at[i]);
    for (int i = 0; i < schedule->stops.count; i++) want_all(schedule, schedule->stops.at[i]);
    for (int i = 0; i < count; i++)
        if (schedule->values.at[i]->live) push(&search, i);
    while (search.count > 0) {
        int id = search.pending[--search.count];
        search.queued[id] = false;
        search.reader = schedule->values.at[id];
        schedule_uses(schedule, search.reader, want, &search);
    }
    for (int i = 0; i < count; i++)
        if (!schedule->values.at[i]->live) want_all(schedule, i);
}

static void add_edge(void *user, const Use *use, bool boundary) {
    EdgeBuild *build = user;
    (void)boundary;
    vec_push(build->schedule->arena, build->edges,
             schedule_edge(build->schedule, build->reader, use));
}

bool schedule_draws_from_end(const Schedule *schedule, const Value *value, int axis) {
    bool mirrored = false;
    for (int k = 0; value->kind == VALUE_ROW && value->op == OP_DRAW && k < value->attr->at_count;
         k++) {
        const At *at = &value->attr->at[k];
        int own = schedule->graph->indices.at[at->index].axis;
        mirrored = mirrored || (at->kind == AT_MIRROR && (axis < 0 || own == axis));
    }
    return mirrored;
}

bool schedule_needs_length(const Schedule *schedule, const Value *value, int axis) {
    const Graph *graph = schedule->graph;
    if (value->kind == VALUE_LEAF && value->op == OP_LENGTH && value->attr->slot == axis)
        return true;
    if (value->kind == VALUE_LEAF && value->op == OP_INDEX && value->attr->mirrored &&
        graph->indices.at[value->attr->index].axis == axis)
        return true;
    if (schedule_draws_from_end(schedule, value, axis)) return true;
    if (reduces_time(value) && graph->indices.at[value->attr->index].axis == axis) return true;
    for (int i = 0; i < value->uses.count + value->terms.count; i++) {
        Use uses[2] = {{-1, -1}, {-1, -1}};
        if (i < value->uses.count)
            uses[0] = value->uses.at[i];
        else {
            uses[0] = value->terms.at[i - value->uses.count].a;
            if (value->terms.at[i - value->uses.count].pair)
                uses[1] = value->terms.at[i - value->uses.count].b;
        }
        for (int j = 0; j < 2; j++) {
            if (uses[j].access < 0) continue;
            const Access *access = &schedule->accesses.at[uses[j].access];
            const Value *source = schedule->values.at[uses[j].value];
            for (int d = 0; d < access->at_count; d++) {
                const At *at = &access->at[d];
                bool ahead = (at->kind == AT_INDEX || at->kind == AT_SCALE) && at->offset > 0;
                if ((at->kind == AT_LAST || ahead) &&
                    graph->indices.at[source->domain[d]].axis == axis)
                    return true;
            }
        }
    }
    return false;
}

typedef struct StepsBack {
    const Schedule *schedule;
    int axis;
    bool found;
} StepsBack;

static void visit_back(void *user, const Use *use, bool boundary) {
    StepsBack *s = user;
    if (boundary || use->access < 0) return;
    const Access *access = &s->schedule->accesses.at[use->access];
    for (int d = 0; d < access->at_count; d++)
        if (access->at[d].kind == AT_INDEX && access->at[d].offset < 0 &&
            s->schedule->graph->indices.at[access->at[d].index].axis == s->axis)
            s->found = true;
}

/* Does a value read an earlier position of a generated axis? There is a next position only where no
 * stop held at the one before: so what decides the stop belongs to the recurrence, and its loop
 * ends with the last sequence. */
static bool steps_back(const Schedule *schedule, const Value *value, int axis) {
    StepsBack s = {schedule, axis, false};
    schedule_uses(schedule, value, visit_back, &s);
    return s.found;
}

static DepResult analyse(Schedule *schedule, int **global) {
    Arena *arena = schedule->arena;
    DepEdges edges = {0};
    schedule_relations(schedule);
    for (int i = 0; i < schedule->values.count; i++) {
        const Value *value = schedule->values.at[i];
        if (!value->live) continue;
        EdgeBuild build = {schedule, &edges, value};
        schedule_uses(schedule, value, add_edge, &build);
        for (int s = 0; s < schedule->stops.count; s++) {
            int axis = schedule->graph->stops.at[s].axis;
            if (steps_back(schedule, value, axis))
                vec_push(arena, &edges,
                         (DepEdge){.from = schedule->stops.at[s],
                                   .to = value->id,
                                   .label_count = 1,
                                   .labels = {{axis, LABEL_OFFSET, -1}}});
        }
        for (int s = 0; s < schedule->stops.count; s++)
            if (schedule_needs_length(schedule, value, schedule->graph->stops.at[s].axis))
                vec_push(arena, &edges,
                         (DepEdge){.from = schedule->stops.at[s],
                                   .to = value->id,
                                   .label_count = 1,
                                   .labels = {{.axis = schedule->graph->stops.at[s].axis,
                                               .kind = LABEL_ALL}}});
    }
    /* The analysis numbers live values only. */
    int *local = ARENA_ARRAY(arena, schedule->values.count, int);
    int live = 0;
    *global = ARENA_ARRAY(arena, schedule->values.count, int);
    for (int i = 0; i < schedule->values.count; i++)
        if (schedule->values.at[i]->live) {
            local[i] = live;
            (*global)[live++] = i;
        }
    for (int e = 0; e < edges.count; e++) {
        edges.at[e].from = local[edges.at[e].from];
        edges.at[e].to = local[edges.at[e].to];
    }
    return depend_nests(arena, live, &edges, schedule->graph->axes.count);
}

/* --- N4 --- */

/* Numbers the loops from the outside inwards; `last`: the last number inside of each. */
static void set_nest(Schedule *schedule, const Nest *nest, const int *global, int *number,
                     int *last) {
    if (nest->kind != NEST_LOOP) return;
    int mine = (*number)++;
    for (int i = 0; i < nest->members.count; i++)
        schedule->values.at[global[nest->members.at[i]]]->nest = mine;
    for (int i = 0; i < nest->children.count; i++)
        set_nest(schedule, nest->children.at[i], global, number, last);
    last[mine] = *number - 1;
}

/* Inside: in the innermost loop that holds the sum, or in a loop inside of that. */
static bool inside(const Schedule *schedule, const int *last, const Value *sum, const Term *term) {
    int a = schedule->values.at[term->a.value]->nest;
    int b = term->pair ? schedule->values.at[term->b.value]->nest : -1;
    int low = sum->nest, high = last[low];
    return (a >= low && a <= high) || (b >= low && b <= high);
}

static bool is_constant(const Value *value) {
    return value->kind == VALUE_PARAM || value->kind == VALUE_CONST;
}

static void add_domain(Value *value, const Value *from, const Access *access) {
    int count = access ? access->at_count : from->domain_count;
    for (int i = 0; i < count; i++) {
        int index = from->domain[i];
        if (access) {
            const At *at = &access->at[i];
            if (at->kind != AT_INDEX && at->kind != AT_SCALE && at->kind != AT_DIV) continue;
            index = at->index;
        }
        if (has_index(value, index)) continue;
        int d = value->domain_count++;
        for (; d > 0 && value->domain[d - 1] > index; d--) value->domain[d] = value->domain[d - 1];
        value->domain[d] = index;
    }
}

static void add_use_domain(Schedule *schedule, Value *value, Use use) {
    const Value *source = schedule->values.at[use.value];
    const Access *access = use.access >= 0 ? &schedule->accesses.at[use.access] : NULL;
    add_domain(value, source, access);
    if (source->batched) value->batched = true;
    if (access && access->boundary >= 0) {
        const Value *boundary = schedule->values.at[access->boundary];
        add_domain(value, boundary, NULL);
        if (boundary->batched) value->batched = true;
    }
}

static void split_outside(Schedule *schedule, const int *last, Value *sum) {
    int outside = 0, streams = 0, weighty = 0, small = 0, single = -1;
    for (int i = 0; i < sum->terms.count; i++) {
        const Term *term = &sum->terms.at[i];
        if (inside(schedule, last, sum, term)) continue;
        outside++;
        single = i;
        const Value *a = schedule->values.at[term->a.value];
        bool constant =
            is_constant(a) && (!term->pair || is_constant(schedule->values.at[term->b.value]));
        bool cheap = schedule_small_product(a) && !term->pair;
        if (!constant && !cheap) streams++;
        if (cheap) small++;
        if (term->pair) weighty++;
    }
    if (!streams || outside == sum->terms.count) {
        remark_outside(schedule, sum, NULL, streams ? 0 : small);
        return;
    }
    if (outside == 1 && !weighty) {
        Value alone = {.span = sum->span};
        vec_push(schedule->arena, &alone.terms, sum->terms.at[single]);
        if (schedule->values.at[sum->terms.at[single].a.value]->kind == VALUE_PRODUCT)
            remark_outside(schedule, sum, &alone, 0);
        return;
    }
    Value *out = schedule_value(schedule, VALUE_SUM, OP_ADD, sum->type);
    out->span = sum->span;
    if (sum->name)
        out->name =
            name_of(schedule->graph->names, arena_printf(schedule->arena, "%s.in", sum->name));
    VEC(Term) rest = {0};
    vec_push(schedule->arena, &rest, (Term){.sign = 1, .a = {out->id, -1}});
    for (int i = 0; i < sum->terms.count; i++) {
        Term term = sum->terms.at[i];
        if (inside(schedule, last, sum, &term)) {
            vec_push(schedule->arena, &rest, term);
            continue;
        }
        vec_push(schedule->arena, &out->terms, term);
        add_use_domain(schedule, out, term.a);
        if (term.pair) add_use_domain(schedule, out, term.b);
    }
    sum->terms.at = rest.at;
    sum->terms.count = rest.count;
    sum->terms.room = rest.room;
    remark_outside(schedule, sum, out, 0);
    normal_merge(schedule, out); /* it may run over fewer indices than `sum` */
}

/* --- blocks --- */

bool schedule_linear(const Schedule *schedule, const int *members, int count) {
    int mine = count ? schedule->values.at[members[0]]->nest : -1;
    for (int i = 0; i < count; i++) {
        const Value *value = schedule->values.at[members[i]];
        if (value->kind == VALUE_PRODUCT || value->kind == VALUE_ROW) return false;
        if (value->kind == VALUE_POINT && value->op != OP_VAR && value->op != OP_MUL &&
            value->op != OP_SELECT)
            return false;
        int own = 0;
        for (int j = 0; j < value->uses.count; j++)
            if (schedule->values.at[value->uses.at[j].value]->nest == mine) {
                own++;
                if (value->op == OP_SELECT && j == 0) return false;
            }
        if (value->op == OP_MUL && own > 1) return false;
        for (int j = 0; j < value->terms.count; j++) {
            const Term *t = &value->terms.at[j];
            if (t->pair && schedule->values.at[t->a.value]->nest == mine &&
                schedule->values.at[t->b.value]->nest == mine)
                return false;
        }
    }
    return true;
}

static SNest *convert(Schedule *schedule, const Nest *nest, const int *global, int *number,
                      int *loops, int depth) {
    SNest *out = ARENA_NEW(schedule->arena, SNest);
    out->kind = nest->kind;
    if (nest->kind == NEST_BLOCK) {
        Block *block = ARENA_NEW(schedule->arena, Block);
        block->number = schedule->blocks.count;
        vec_push(schedule->arena, &schedule->blocks, block);
        block->loop_count = depth;
        for (int i = 0; i < depth; i++) block->loops[i] = loops[i];
        for (int i = 0; i < nest->members.count; i++) {
            Value *value = schedule->values.at[global[nest->members.at[i]]];
            value->block = block->number;
            vec_push(schedule->arena, &block->values, value->id);
        }
        out->block = block;
        return out;
    }
    out->number = (*number)++;
    out->axis = nest->axis;
    out->backward = nest->backward;
    for (int i = 0; i < nest->members.count; i++)
        vec_push(schedule->arena, &out->members, global[nest->members.at[i]]);
    out->scan = nest->children.count == 1 && nest->children.at[0]->kind == NEST_BLOCK &&
                schedule_linear(schedule, out->members.at, out->members.count);
    loops[depth] = nest->axis;
    for (int i = 0; i < nest->children.count; i++)
        vec_push(schedule->arena, &out->children,
                 convert(schedule, nest->children.at[i], global, number, loops, depth + 1));
    return out;
}

static void lost_order(Diags *diags) {
    diag_error(diags, "internal", (Span){0},
               "the normal form has lost an order that the graph had");
}

/* Two indices on one axis: each rule of depend_loop_index may miss an order that there is. */
static bool refuse_order(const Schedule *schedule, const DepResult *result, const int *global,
                         Diags *diags) {
    const Graph *graph = schedule->graph;
    for (int i = 0; i < result->cycle.count; i++) {
        const Value *value = schedule->values.at[global[result->cycle.at[i]]];
        for (int d = 0; d < value->domain_count; d++)
            for (int e = 0; e < d; e++) {
                if (graph->indices.at[value->domain[d]].axis !=
                    graph->indices.at[value->domain[e]].axis)
                    continue;
                diag_error(diags, "E-LOWER", value->span,
                           "a recurrence in this order of two indices over one axis is not "
                           "compiled yet; run it with --backend=interp");
                return true;
            }
    }
    return false;
}

/* Finds the loops anew, once uses have changed: in which one each value is, and `last` of set_nest,
 * which is the caller's array. */
static bool find_again(Schedule *schedule, DepResult *result, int **global, int *last,
                       Diags *diags) {
    for (int i = 0; i < schedule->values.count; i++) schedule->values.at[i]->nest = -1;
    *result = analyse(schedule, global);
    if (result->failure != DEP_OK) {
        lost_order(diags);
        return false;
    }
    int number = 0;
    for (int i = 0; i < result->nests.count; i++)
        set_nest(schedule, result->nests.at[i], *global, &number, last);
    return true;
}

bool normal_nests(Schedule *schedule, Diags *diags) {
    int *global;
    DepResult result = analyse(schedule, &global);
    for (int rule = INDEX_FIRST; result.failure != DEP_OK; rule++) {
        if (rule > INDEX_MIXED) {
            if (!refuse_order(schedule, &result, global, diags)) lost_order(diags);
            return false;
        }
        schedule->rule = (IndexRule)rule;
        result = analyse(schedule, &global);
    }
    int number = 0, depth = schedule->graph->axes.count + 1;
    int *last = ARENA_ARRAY(schedule->arena, (int64_t)schedule->values.count * depth + 1, int);
    for (int i = 0; i < result.nests.count; i++)
        set_nest(schedule, result.nests.at[i], global, &number, last);
    if (!schedule->choices.off[CHOICE_push] && normal_push(schedule)) {
        schedule_liveness(schedule);
        normal_boundaries(schedule);
        schedule_liveness(schedule);
        last = ARENA_ARRAY(schedule->arena, (int64_t)schedule->values.count * depth + 1, int);
        if (!find_again(schedule, &result, &global, last, diags)) return false;
    }
    int count = schedule->values.count;
    for (int i = 0; i < count; i++) {
        Value *value = schedule->values.at[i];
        if (!value->live || value->kind != VALUE_SUM || value->nest < 0) continue;
        if (schedule->choices.off[CHOICE_hoist])
            remark_missed(schedule->remarks, REMARK_HOISTED, value->span,
                          "%s: 'hoist' is switched off", remark_value(schedule, value));
        else
            split_outside(schedule, last, value);
    }
    schedule_liveness(schedule);
    if (!find_again(schedule, &result, &global, last, diags)) return false;
    int loops[MAX_DOMAIN + 1];
    number = 0;
    for (int i = 0; i < result.nests.count; i++)
        vec_push(schedule->arena, &schedule->nests,
                 convert(schedule, result.nests.at[i], global, &number, loops, 0));
    normal_adopt(schedule);
    return true;
}
