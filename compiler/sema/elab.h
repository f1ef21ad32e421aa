/* What the files of sema share: program, instances, applications, variables, contexts.
 *
 *   program.c    files, imports, sizes, constants      declare.c   what a body declares, unrolled
 *   scope.c      maps, names, errors with instances    axes.c      indices and axes of a body
 *   emit.c       values into nodes, flows of types     equation.c  equations, every, draws, losses
 *   expr.c       operators, names, if                  number.c    numbers known at compile time
 *   place.c      first brackets: positions in time     entries.c   entries of a tensor
 *   call.c       functions, elementwise                tensor.c    functions of tensors
 *   reduce.c     reductions over an index or a range   use.c       instances, their brackets
 *   apply.c      applications: sizes, indices, inlined param.c     parameters and initialisers
 *   instance.c   definition check, sema_graph          check.c     E-UNUSED, E-GRAD, recursive
 * models
 *
 * A context with `emit` makes nodes; without, only types. The code is the same. */
#ifndef RNNC_SEMA_ELAB_H
#define RNNC_SEMA_ELAB_H

#include "sema/sema.h"
#include "sema/value.h"

/* A map from interned names. */
typedef struct Map {
    int count, room;
    Name *keys;
    void **values;
} Map;

void *map_get(const Map *map, Name key);
void map_put(Arena *arena, Map *map, Name key, void *value);

typedef struct File File;
typedef struct Model Model;
typedef struct Inst Inst;
typedef struct Body Body;
typedef struct Var Var;
typedef struct Eq Eq;

/* `size` or `const` of a file; evaluated when first needed. */
typedef struct FileBind {
    const Bind *bind;
    bool size, active, done;
    Num value;
} FileBind;

struct File {
    const Ast *ast;
    Name path;
    bool prelude, main;
    int depth;
    Map binds;  /* FileBind */
    Map models; /* Model */
    VEC(File *) imports;
};

struct Model {
    Name name;
    File *file;
    const Item *item;
    bool models_in;   /* a model stands among the bracket parameters: checked per instance */
    bool params_in;   /* has parameters or instances, so it cannot be applied by its own name */
    VEC(Name) header; /* header sizes that are not in the bracket */
    VEC(Span) header_at;
    int color; /* of the search for recursive models */
};

struct Program {
    Arena *arena;
    Names *names;
    File *main, *prelude;
    VEC(File *) files;
    VEC(Model *) models; /* of all files but the prelude, in order */
    SemaDefine *defines;
    int define_count;
    bool recursive; /* a model applies itself: nothing more is checked */
};

/* What a bracket parameter or a header size stands for. */
typedef struct Bound1 {
    Name name;
    Num num;
    const Model *model; /* not NULL: a model */
    Span span;          /* where it got its value */
    bool bound, bracket;
} Bound1;

/* A parameter or an instance of an instance. */
typedef struct Member {
    struct Param *param;
    Inst *inst;
} Member;

/* An instance made by `use`: its sizes and parameters, shared by its applications. */
struct Inst {
    const Model *model;
    Inst *up;
    Name path; /* `enc.f`; "" at the top */
    Span span; /* of the use */
    VEC(Bound1) sizes;
    bool reverse, carry;
    int applied, depth;
    Map params;          /* Param, by key `W`, `W.0` */
    Map instances;       /* Inst, by key */
    VEC(Member) members; /* of both, in order of declaration */
};

typedef struct Param {
    Name name;
    Ty type;
    int slot, node;
    Span span;
} Param;

/* Bindings of loop variables and of the indices of static reductions. */
typedef struct Env {
    struct Env *up;
    Name name;
    Num num;
} Env;

typedef enum BaseKind {
    BASE_VAR,
    BASE_PARAM,
    BASE_USE,
    BASE_INDEX,
    BASE_LOOP,
    BASE_SIZE,
    BASE_REFUSED /* its declaration was an error: its uses are none */
} BaseKind;

/* What a name is in a body: all members of a family have one base. */
typedef struct Base {
    Name name;
    BaseKind kind;
    Span span;
    int entries; /* in its first bracket */
    int family;  /* of them, family indices; of a variable, once `declared` */
    bool declared;
    bool misread; /* a declaration of it was refused, so that it may miss its equation */
    int members;  /* declared so far; of a loop variable: loops that bind it */
} Base;

typedef struct UseDecl {
    const Stmt *stmt;
    Env *env;
    Inst *inst;
    Name key;
    int applied; /* in this body */
} UseDecl;

typedef struct ParamDecl {
    const Stmt *stmt;
    const Decl *decl;
    Env *env;
    Param *param;
} ParamDecl;

/* A variable: a member of a family, or a name without family. */
struct Var {
    Name key;    /* `h.0` */
    Name source; /* `h`, for messages */
    Span span;
    int count;
    int index[MAX_DOMAIN];
    bool typed, active;
    Ty type;
    Span type_span; /* the declaration that gave the type; or of the equation */
    Eq *eq;
    int place; /* among the targets of its equation */
    const Expr *boundary;
    Env *boundary_env;
    const Value *boundary_value;
    bool boundary_active;
    const Value *input; /* of an input of the body */
    bool waits;         /* for its default: an input that an application leaves out */
    const Port *port;
    bool output;
    int node;
};

typedef enum EqState { EQ_WAITING, EQ_ACTIVE, EQ_DONE } EqState;

/* An application that was elaborated before its turn, because `f.W` needs the sizes it gives. */
typedef struct Early {
    const Expr *call;
    const Model *model;
    const Value *const *outputs;
    bool taken; /* by the equation, when it came to the application */
} Early;

struct Eq {
    const Stmt *stmt;
    const Expr *aside; /* instead of a statement: a boundary value, a default */
    Env *env;
    Body *body;
    EqState state;
    Name label; /* for draws and anonymous applications: the first target, `loss` */
    int draws, applications;
    VEC(Var *) vars;
    VEC(Early) early;
};

typedef struct IndexMark {
    int index;
    bool mirrored;
} IndexMark;

/* One application of an instance: its variables, on the caller's indices. */
struct Body {
    Inst *inst;
    Body *up;
    Name path;
    Span span;   /* of the application */
    Map bases;   /* Base */
    Map indices; /* IndexName */
    Map vars;    /* Var by key */
    Map uses;    /* UseDecl by key */
    Map params;  /* ParamDecl by key */
    VEC(Eq *) eqs;
    VEC(Var *) all; /* in order of declaration */
    VEC(IndexMark) marks;
    int outer_count;
    int outer[MAX_DOMAIN];
    int carry; /* 1 + place in graph->carries; 0: none */
    bool reversed;
    bool refused;        /* an equation has a name that cannot be */
    const Decl *surplus; /* a second equation of one name, or NULL */
};

typedef struct IndexName {
    Name name;
    int index;
    Span span;
} IndexName;

typedef struct Elab {
    Arena *arena;
    Names *names;
    Diags *diags;
    Program *program;
    Graph *graph;
    bool emit;
    int depth;
    int64_t equations;
    int reducing; /* reductions over a range that are open, at a definition */
    bool limited; /* E-LIMIT of equations is told */
    VEC(Body *) queue;
    VEC(const Poly *) lengths; /* by axis: its fixed length or bound, also when that is symbolic */
} Elab;

typedef struct Ctx {
    Elab *e;
    File *file;
    Inst *inst; /* NULL: file level */
    Body *body; /* NULL: only sizes are in sight */
    Env *env;
    Eq *eq;
    const char *called; /* of the body of an application that is being made: as written there */
} Ctx;

/* Fuzzing lowers this one, so that a case stays small and fast. */
#ifndef RNNC_MAX_EQUATIONS
#define RNNC_MAX_EQUATIONS 100000
#endif

enum {
    MAX_FRAMES = 2500,
    MAX_INSTANCES = 256,
    MAX_EQUATIONS = RNNC_MAX_EQUATIONS,
    MAX_LAG = 4096,
    MAX_IMPORTS = 64,
    MAX_PATH = 4096 /* bytes of the names of instances that are inside of each other, joined */
};

/* scope.c */
Diag *sema_error(const Ctx *c, const char *code, Span span, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void sema_note(const Ctx *c, Diag *diag, Span span, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* "1 index", "2 indices". */
const char *counted(const Ctx *c, int count, const char *one, const char *many);
Name sema_name(const Ctx *c, const char *text);
Name sema_join(const Ctx *c, Name path, Name key); /* `path.key` */
Name model_own(const Model *model, Name name);
Bound1 *inst_size(const Inst *inst, Name name);
/* The number that a name stands for at compile time; false when it is none. */
bool find_number(const Ctx *c, Name name, Num *num);
const Model *find_model(const Ctx *c, Name name, Span span);
Base *find_base(const Ctx *c, Name name);
IndexName *find_index(const Ctx *c, Name name);
/* "nothing is called 'x'", with the nearest name. */
void name_error(const Ctx *c, Name name, Span span);
/* Whether the language has a function of this name. */
bool is_function(Name name);
/* E-DUP for `first`, `int` and their like. */
void refuse_predefined(const Ctx *c, Name name, Span span);
/* Registers a name of a body; E-DUP when it has another meaning. */
bool add_base(const Ctx *c, Name name, BaseKind kind, Span span, int entries);
/* Has the uses of a name give no errors, after one of its declaration. */
void refuse_base(const Ctx *c, Name name, Span span);
/* The key of a family member: `h`, `h.0.1`; NULL when an entry is no integer (reported). */
Name member_key(const Ctx *c, Name name, const ExprList *entries, int count, bool *open);
Span find_name_in(const Expr *expr, Name name, Span otherwise);
bool frame_enter(const Ctx *c, Span span);
void frame_leave(const Ctx *c);
/* E-CARRY where an instance carries its state; `what` begins the message. */
void refuse_carry(const Ctx *c, Span span, const char *what);

/* program.c */
Num file_number(Elab *e, File *file, FileBind *bind);

/* emit.c */
const Value *unknown_value(const Ctx *c);
const Value *number_value(const Ctx *c, Num num);
/* The node of a value as float, int or bool; compile-time numbers become constants of `like`'s
 * bound. */
const Value *value_as(const Ctx *c, const Value *value, DType dtype, Span span);
const Value *emit_op(const Ctx *c, Op op, const Ty *type, int count, const Value *const *in,
                     const Attr *attr, Span span);
const Value *emit_constant(const Ctx *c, double value, const Ty *type, Span span);
/* A place in the body at hand, which knows the application that the body is of. */
Span body_place(const Ctx *c, Span span);
bool value_add_index(const Ctx *c, Value *value, int index, Span span);
bool value_has(const Value *value, int index);
Type graph_type_of(const Ctx *c, const Ty *type, Span span);
/* Makes `value` fit `type`; `what` names the receiver; `at` its declaration. Scalars spread if
 * `spread`. */
const Value *flow(const Ctx *c, const Value *value, const Ty *type, bool spread, Span span,
                  const char *what, Span at);
/* The type that both branches of a choice have; false when there is none. */
bool join_types(const Ctx *c, const Value *a, const Value *b, Ty *to);
/* Where two shapes differ in a number against a size of the model: that callers choose the size. */
void note_free_size(const Ctx *c, Diag *diag, const Ty *a, const Ty *b);
/* `[I, H]`, or `[I, H] = [3, 8]` where the file gives its sizes values. */
const char *shape_values(const Ctx *c, const Ty *type);
bool index_mirrored(const Body *body, int index);
bool check_shape(const Ctx *c, const Ty *type, Span span);

/* types of declarations */
Ty declared_type(const Ctx *c, const TypeExpr *type);

/* expr.c */
const Value *elab(const Ctx *c, const Expr *expr);
/* An integer known at compile time; NULL after an error. `what` for the message. */
/* Why a number is no integer: `2.5 when it should be an integer`, or too large, as it is written or
 * computed. `expr` may be NULL. */
const char *elab_no_integer(const Ctx *c, const Expr *expr, double number);
const Poly *elab_size(const Ctx *c, const Expr *expr, const char *what);
/* The same with a value; false when it is open or wrong (reported unless open). */
bool elab_integer(const Ctx *c, const Expr *expr, const char *what, int64_t *value, bool *open);
const Value *binary_op(const Ctx *c, AstOp op, const Value *a, const Value *b, Span span);
/* `at`: the operator, with its operands; quiet: NULL for shapes that do not fit. */
const Value *matmul(const Ctx *c, const Value *a, const Value *b, const Expr *at, bool quiet);

/* number.c */
bool is_comparison(AstOp op);
/* The result of an operator on two numbers; NUM_OPEN when the definition leaves it open. */
Num num_binary(const Ctx *c, AstOp op, const Num *a, const Num *b, Span span);

/* place.c */
const Value *elab_index(const Ctx *c, const Expr *expr);
const Value *read_var(const Ctx *c, Var *var, int count, const Expr *const *slots, Span span);
const Value *read_own(const Ctx *c, Var *var, Span span);
/* entries.c */
const Value *tensor_entries(const Ctx *c, const Value *value, const EntryList *entries, Span span);
/* factor * index + offset, or index / divide; index -1: a constant. */
typedef struct Linear {
    int index;
    int64_t factor, offset, divide;
    bool open; /* a constant in it is left to the instance */
} Linear;
bool linear_slot(const Ctx *c, const Expr *expr, Linear *to);

/* equation.c */
bool var_need_type(const Ctx *c, Var *var, Span span);
int var_node(const Ctx *c, Var *var);
void elab_equation(Elab *e, Eq *eq);
const Value *elab_dropout(const Ctx *c, const Expr *call);
const Value *var_boundary(const Ctx *c, Var *var);

/* declare.c */
void declare_body(const Ctx *c);
Var *find_var(const Ctx *c, Name key);

/* axes.c */
Body *body_new(Elab *e, Inst *inst, Body *up, Name path, Span span);
/* The fixed length of an axis, or its bound; NULL: none, or not known. */
const Poly *axis_length(const Ctx *c, int axis);
void body_times(const Ctx *c, const Eq *caller);
int index_new(const Ctx *c, Name name, int axis, bool mirrored);
/* Binds an index of a callee to one of its caller's. */
void bind_caller(const Ctx *c, Name name, int index, Span span);

/* use.c, apply.c */
Inst *inst_new(const Ctx *c, const Model *model, Name path, Span span);
Inst *inst_of_use(const Ctx *c, const Stmt *stmt, Name key);
/* Values of the bracket parameters, given or by default; false after an error. */
bool bracket_values(const Ctx *c, Inst *inst, const ArgList *args, Span span);
/* The instance that `f` or `f[l]` names; NULL when it is none (reported when it should be one). */
UseDecl *find_instance(const Ctx *c, const Expr *base);
/* The parameter `f.W` or `f.W[l]`. */
const Value *instance_param(const Ctx *c, const Expr *field, const EntryList *entries);
bool is_application(const Ctx *c, const Expr *base);
/* Applies; the outputs go to an array of model->item->outputs.count values. NULL after an error. */
const Value *const *elab_application(const Ctx *c, const Expr *call, const Model **model);
/* E-NAME: `call` applies a model that needs an instance by the model's own name. */
void refuse_uninstanced(const Ctx *c, const Expr *call, const Model *model);
void header_types(const Ctx *c);
/* The default of an input without time; NULL when it has none. */
const Value *port_default(const Ctx *c, Var *var);
/* Gives an input of an application that waits for its default that value. */
void take_default(const Ctx *c, Var *var);

/* call.c, tensor.c, reduce.c */
const Value *elab_call(const Ctx *c, const Expr *expr);
const Value *elab_tensor_call(const Ctx *c, const Expr *expr, Name name, const EntryList *bracket);
const Value *elab_reduction(const Ctx *c, const Expr *expr, Name name, const EntryList *bracket);
/* Joins along the first dim; a scalar counts as [1]. */
const Value *concat_values(const Ctx *c, int count, const Value **values, Span span);
/* The operand as a float, or an int that arithmetic takes; unknown after an error. */
const Value *float_operand(const Ctx *c, const Value *value, const char *name, Span span);
/* max, min, logaddexp, + of two values. */
const Value *pair_op(const Ctx *c, Op op, const Value *a, const Value *b, const char *name,
                     Span span);
/* The argument at `place`, or the one called `name`; NULL when it is not given. */
const Expr *call_arg(const Expr *call, int place, const char *name);
/* Between least and most arguments, in all; `names` of those that may be named, by place, NULL
 * where only the place counts; NULL: none may. */
bool call_args(const Ctx *c, const Expr *call, int least, int most, const char *const *names);

/* param.c */
const Value *param_value(const Ctx *c, Param *param, Span span);
void declare_param(const Ctx *c, ParamDecl *decl);
/* Parameters of the graph in the order of their declarations, those of an instance where its `use`
 * stands: equations are elaborated in another order. */
void order_params(Elab *e, const Inst *root);

/* check.c */
void check_unused(Elab *e, const Model *model);
void check_recursion(Elab *e, Program *program);
void check_gradients(Elab *e);

#endif
