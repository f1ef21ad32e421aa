/* A program: the policies that it is made of, its ports, and its text. */
#include "generate.h"

#include <string.h>

#include "draft.h"

typedef struct PolicyRow {
    const char *name;
    int weight;
    bool refused;
    void (*write)(Draft *draft);
} PolicyRow;

static const PolicyRow rows[] = {
#define POLICY(name, weight, refused, about) {#name, weight, refused, policy_##name},
#include "policies.def"
#undef POLICY
};

const char *policy_name(Policy policy) {
    return rows[policy].name;
}

/* A policy that is allowed, by weight. */
static Policy draw(Gen *gen) {
    const ProgramOptions *o = gen->options;
    int total = 0;
    for (int i = 0; i < POLICY_COUNT; i++)
        if ((!o->only || o->only >> i & 1) && !(o->lowered && rows[i].refused))
            total += rows[i].weight;
    int at = gen_below(gen, total ? total : 1);
    for (int i = 0; i < POLICY_COUNT; i++) {
        if ((o->only && !(o->only >> i & 1)) || (o->lowered && rows[i].refused)) continue;
        if (at < rows[i].weight) return (Policy)i;
        at -= rows[i].weight;
    }
    return POLICY_plain;
}

static void draw_sizes(Gen *gen) {
    static const int sizes[] = {1, 2, 2, 3, 3, 3, 3, 8, 8, 9, 9, 31, 33};
    for (int i = 0; i < 3; i++) gen->sizes[i] = sizes[gen_below(gen, gen->options->small ? 7 : 13)];
    if (gen->sizes[1] > 9 && gen->sizes[2] > 9) gen->sizes[2] = 3;
}

/* The last values, a few of the others; something over time if there is any. */
static void outputs(Draft *draft) {
    Gen *gen = draft->gen;
    int chosen = 0;
    for (int i = draft->values.count - 1; i >= 0 && chosen < 6; i--) {
        const Readable *v = &draft->values.at[i];
        if (v->name[0] != 'e' && v->name[0] != 'h') continue;
        if (v->dead || (chosen && gen_chance(gen, 40))) continue;
        draft_output(draft, v);
        chosen++;
    }
    if (chosen) return;
    draft_equation(draft, "t", gen_float(gen_vector(gen->sizes[0])),
                   gen_expr(draft, "t", gen_vector(gen->sizes[0]), 2));
    draft_output(draft, &draft->values.at[draft->values.count - 1]);
}

RandomProgram program_generate(Arena *arena, uint64_t seed, const ProgramOptions *options) {
    static const ProgramOptions everything = {0};
    Gen gen = {.arena = arena,
               .state = seed * 0xD1B54A32D192ED03u + 0x8CB92BA72F3D8DD7u,
               .options = options ? options : &everything,
               .models = text_new(arena),
               .lag = 1,
               .axes = 1};
    RandomProgram program = {.model = "Main"};
    draw_sizes(&gen);
    Draft *draft = draft_new(&gen, "Main", true);
    draft_input(draft, "t", gen_float(gen_vector(gen.sizes[0])),
                gen_chance(&gen, 50) ? "0.5" : NULL);
    if (gen_chance(&gen, 30)) draft_input(draft, "t", gen_float(gen_scalar), NULL);
    int most = gen.options->most ? gen.options->most : 3;
    for (int i = 1 + gen_below(&gen, most); i > 0; i--) {
        Policy policy = draw(&gen);
        if (rows[policy].refused && gen.may_refuse) continue;
        program.policies |= (uint64_t)1 << policy;
        rows[policy].write(draft);
    }
    outputs(draft);
    Text out = text_new(arena);
    text_puts(&out, text_string(&gen.models));
    text_puts(&out, draft_text(draft));
    program.text = text_string(&out);
    program.lag = gen.lag;
    program.axes = gen.axes;
    program.may_refuse = gen.may_refuse;
    return program;
}
