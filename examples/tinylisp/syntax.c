/* SPDX-License-Identifier: MIT
 *
 * syntax.c - data -> tree
 *
 * The datum is held by the caller, inside a section; nothing here owns anything but the compiler's blocks.
 */
#include "syntax.h"

#include <string.h>

struct scope {
    struct lambda   *lambda;
    struct variable *seen;
};

/* ---- Lists of variables ---------------------------------------------------------------------------------------- */

static void
add_variable(struct compiler *c, struct list_of_variables *list, struct variable *v)
{
    if (list->count == list->room) {
        struct variable **more = compiler_take(c, (2 * list->room + 4) * sizeof(struct variable *));

        if (list->count)
            memcpy(more, list->at, list->count * sizeof(struct variable *));
        list->at = more;
        list->room = 2 * list->room + 4;
    }
    list->at[list->count++] = v;
}

/* ---- Data ------------------------------------------------------------------------------------------------------ */

static struct value
head(struct value list)
{
    return cell_load(&((struct pair *)list.object)->car);
}

static struct value
tail(struct value list)
{
    return cell_load(&((struct pair *)list.object)->cdr);
}

static size_t
length_of(struct compiler *c, struct value list)
{
    size_t length = 0;

    for (; list.kind == PAIR; list = tail(list))
        length++;
    if (list.kind != NIL)
        compiler_fail(c, "a form is no list");
    return length;
}

static struct symbol *
name_of(struct compiler *c, struct value v)
{
    if (v.kind != SYMBOL)
        compiler_fail(c, "a name is wanted");
    return v.object;
}

/* ---- Nodes ----------------------------------------------------------------------------------------------------- */

static struct node *
node(struct compiler *c, enum node_kind kind, size_t parts)
{
    struct node *n = compiler_take(c, sizeof *n);

    n->kind = kind;
    n->count = parts;
    n->parts = parts ? compiler_take(c, parts * sizeof(struct node *)) : NULL;
    return n;
}

static struct node *
constant(struct compiler *c, struct value v)
{
    struct node *n = node(c, CONSTANT, 0);

    n->datum = v;
    return n;
}

static struct node *
assign(struct compiler *c, struct variable *v, struct node *value)
{
    struct node *n = node(c, SET_LOCAL, 1);

    v->assigned = true;
    n->variable = v;
    n->parts[0] = value;
    return n;
}

static struct variable *
variable(struct compiler *c, struct scope *s, struct symbol *name)
{
    struct variable *v = compiler_take(c, sizeof *v);

    v->name = name;
    v->owner = s->lambda;
    v->outer = s->seen;
    return v;
}

static bool
has(const struct list_of_variables *list, const struct variable *v)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->at[i] == v)
            return true;
    return false;
}

/* The variable of this name, or NULL: a global one. What another lambda owns is captured by all between. */
static struct variable *
resolve(struct compiler *c, const struct scope *s, const struct symbol *name)
{
    struct variable *v = s->seen;

    while (v && v->name != name)
        v = v->outer;
    if (v && v->owner != s->lambda && v->self != s->lambda) {
        v->captured = true;
        for (struct lambda *l = s->lambda; l != v->owner; l = l->outer)
            if (!has(&l->captures, v))
                add_variable(c, &l->captures, v);
    }
    return v;
}

static struct node *tree(struct compiler *c, struct value v, struct scope s);
static struct node *body(struct compiler *c, struct value forms, struct scope s);

static struct node *
reference(struct compiler *c, struct value name, struct scope s)
{
    struct variable *v = resolve(c, &s, name.object);
    struct node     *n = node(c, v ? LOCAL : GLOBAL, 0);
    int64_t          built_in = v ? -1 : primitive_find(((struct symbol *)name.object)->name);

    if (built_in >= 0)
        return constant(c, (struct value){.kind = PRIMITIVE, .number = built_in});
    n->variable = v;
    n->datum = name;
    return n;
}

static void
all(struct compiler *c, struct value list, struct scope s, struct node **parts)
{
    for (; list.kind == PAIR; list = tail(list))
        *parts++ = tree(c, head(list), s);
}

/* ---- Lambda ---------------------------------------------------------------------------------------------------- */

static bool
is_form(struct value v, const char *name)
{
    return v.kind == PAIR && head(v).kind == SYMBOL && strcmp(((struct symbol *)head(v).object)->name, name) == 0;
}

/* Is there a (set! name ..) in these forms? */
static bool
is_set_in(struct value forms, const struct symbol *name)
{
    if (is_form(forms, "set!") && tail(forms).kind == PAIR && head(tail(forms)).object == name)
        return true;
    for (; forms.kind == PAIR; forms = tail(forms))
        if (is_set_in(head(forms), name))
            return true;
    return false;
}

/* `as` is the variable whose only value this is, or NULL. */
static struct node *
lambda(struct compiler *c, struct variable *as, struct symbol *name, struct value params, struct value forms, struct scope s)
{
    struct lambda *l = compiler_take(c, sizeof *l);
    struct node   *n = node(c, LAMBDA, 0);
    struct scope   inner = {l, s.seen};

    l->outer = s.lambda;
    l->name = name;
    if (as)
        as->self = l;
    for (; params.kind == PAIR; params = tail(params)) {
        inner.seen = variable(c, &inner, name_of(c, head(params)));
        add_variable(c, &l->params, inner.seen);
    }
    if (params.kind != NIL) {
        inner.seen = variable(c, &inner, name_of(c, params));
        add_variable(c, &l->params, inner.seen);
        l->rest = true;
    }
    l->body = body(c, forms, inner);
    n->lambda = l;
    return n;
}

static struct node *
lambda_form(struct compiler *c, struct value args, struct scope s)
{
    return lambda(c, NULL, NULL, head(args), tail(args), s);
}

/* (define x v) or (define (f . params) ..): the name, and its value */
static struct symbol *
defined_name(struct compiler *c, struct value args)
{
    return name_of(c, head(args).kind == PAIR ? head(head(args)) : head(args));
}

static struct node *
defined_value(struct compiler *c, struct variable *as, struct value args, struct scope s)
{
    if (head(args).kind == PAIR)
        return lambda(c, as, name_of(c, head(head(args))), tail(head(args)), tail(args), s);
    if (length_of(c, args) != 2)
        compiler_fail(c, "define takes a name and a value");
    return tree(c, head(tail(args)), s);
}

static void
refuse_built_in(struct compiler *c, const struct symbol *name)
{
    if (primitive_find(name->name) >= 0)
        compiler_fail(c, "%s is built in", name->name);
}

static struct node *
define_form(struct compiler *c, struct value args, struct scope s)
{
    struct symbol *name = defined_name(c, args);
    struct node   *n = node(c, DEFINE, 1);

    if (s.lambda->outer || s.seen)
        compiler_fail(c, "define stands at the top, or at the beginning of a body");
    refuse_built_in(c, name);
    n->datum = lent(SYMBOL, name);
    n->parts[0] = defined_value(c, NULL, args, s);
    return n;
}

static struct node *
sequence(struct compiler *c, struct value forms, struct scope s)
{
    size_t       count = length_of(c, forms);
    struct node *n = node(c, SEQUENCE, count);

    if (count == 0)
        compiler_fail(c, "a body is empty");
    all(c, forms, s, n->parts);
    return n;
}

/* Definitions at the beginning are variables of the body, which see each other. */
static struct node *
body(struct compiler *c, struct value forms, struct scope s)
{
    struct value rest = forms;
    size_t       count = 0;
    struct node *let, *inner;

    for (; rest.kind == PAIR && is_form(head(rest), "define") && tail(head(rest)).kind == PAIR; rest = tail(rest))
        count++;
    if (count == 0)
        return sequence(c, forms, s);
    let = node(c, LET, count + 1);
    let->bound = compiler_take(c, count * sizeof(struct variable *));
    rest = forms;
    for (size_t i = 0; i < count; i++, rest = tail(rest)) {
        s.seen = let->bound[i] = variable(c, &s, defined_name(c, tail(head(rest))));
        let->parts[i] = constant(c, simple(UNSPECIFIED));
    }
    inner = node(c, SEQUENCE, count + 1);
    rest = forms;
    for (size_t i = 0; i < count; i++, rest = tail(rest)) {
        struct variable *v = let->bound[i];

        inner->parts[i] = assign(c, v, defined_value(c, is_set_in(forms, v->name) ? NULL : v, tail(head(rest)), s));
    }
    inner->parts[count] = sequence(c, rest, s);
    let->parts[count] = inner;
    return let;
}

/* ---- let ------------------------------------------------------------------------------------------------------- */

static struct value
binding_value(struct compiler *c, struct value binding)
{
    if (binding.kind != PAIR || length_of(c, binding) != 2)
        compiler_fail(c, "a binding is a name and a value");
    return head(tail(binding));
}

/* (let name ((x v) ..) ..): a procedure that sees itself, called with the values */
static struct node *
named_let(struct compiler *c, struct symbol *name, struct value bindings, struct value forms, struct scope s)
{
    size_t         count = length_of(c, bindings);
    struct node   *call = node(c, CALL, count + 1), *let = node(c, LET, 2), *inner = node(c, SEQUENCE, 2), *self;
    struct scope   outer = s;
    struct lambda *l = compiler_take(c, sizeof *l);
    struct node   *loop = node(c, LAMBDA, 0);
    struct scope   within;

    let->bound = compiler_take(c, sizeof(struct variable *));
    s.seen = let->bound[0] = variable(c, &s, name);
    let->parts[0] = constant(c, simple(UNSPECIFIED));
    l->outer = s.lambda;
    l->name = name;
    if (!is_set_in(forms, name))
        s.seen->self = l;
    within = (struct scope){l, s.seen};
    for (size_t i = 0; i < count; i++, bindings = tail(bindings)) {
        call->parts[i + 1] = tree(c, binding_value(c, head(bindings)), outer);
        within.seen = variable(c, &within, name_of(c, head(head(bindings))));
        add_variable(c, &l->params, within.seen);
    }
    l->body = body(c, forms, within);
    loop->lambda = l;
    self = node(c, LOCAL, 0);
    self->variable = let->bound[0];
    inner->parts[0] = assign(c, let->bound[0], loop);
    inner->parts[1] = self;
    let->parts[1] = inner;
    call->parts[0] = let;
    return call;
}

enum let_kind { EACH_ALONE, ONE_AFTER_THE_OTHER, TOGETHER };

static struct node *
let(struct compiler *c, enum let_kind kind, struct value bindings, struct value forms, struct scope s)
{
    size_t       count = length_of(c, bindings);
    struct node *n = node(c, LET, count + 1), *inner = kind == TOGETHER ? node(c, SEQUENCE, count + 1) : NULL;
    struct scope outer = s;
    struct value b = bindings;

    n->bound = compiler_take(c, (count + 1) * sizeof(struct variable *));
    for (size_t i = 0; i < count; i++, b = tail(b)) {
        struct value value = binding_value(c, head(b));

        if (kind == TOGETHER)
            n->parts[i] = constant(c, simple(UNSPECIFIED));
        else
            n->parts[i] = tree(c, value, kind == EACH_ALONE ? outer : s);
        s.seen = n->bound[i] = variable(c, &s, name_of(c, head(head(b))));
    }
    if (!inner) {
        n->parts[count] = body(c, forms, s);
        return n;
    }
    b = bindings;
    for (size_t i = 0; i < count; i++, b = tail(b))
        inner->parts[i] = assign(c, n->bound[i], tree(c, binding_value(c, head(b)), s));
    inner->parts[count] = body(c, forms, s);
    n->parts[count] = inner;
    return n;
}

static struct node *
let_form(struct compiler *c, struct value args, struct scope s)
{
    if (head(args).kind != SYMBOL)
        return let(c, EACH_ALONE, head(args), tail(args), s);
    if (tail(args).kind != PAIR)
        compiler_fail(c, "let takes bindings");
    return named_let(c, head(args).object, head(tail(args)), tail(tail(args)), s);
}

static struct node *
let_star_form(struct compiler *c, struct value args, struct scope s)
{
    return let(c, ONE_AFTER_THE_OTHER, head(args), tail(args), s);
}

static struct node *
letrec_form(struct compiler *c, struct value args, struct scope s)
{
    return let(c, TOGETHER, head(args), tail(args), s);
}

/* ---- Choices --------------------------------------------------------------------------------------------------- */

static struct node *
choose(struct compiler *c, struct node *condition, struct node *yes, struct node *no)
{
    struct node *n = node(c, IF, 3);

    n->parts[0] = condition;
    n->parts[1] = yes;
    n->parts[2] = no ? no : constant(c, simple(UNSPECIFIED));
    return n;
}

static struct node *
if_form(struct compiler *c, struct value args, struct scope s)
{
    size_t count = length_of(c, args);

    if (count != 2 && count != 3)
        compiler_fail(c, "if takes a condition and one or two branches");
    return choose(c, tree(c, head(args), s), tree(c, head(tail(args)), s),
                  count == 3 ? tree(c, head(tail(tail(args))), s) : NULL);
}

static struct node *
when_form(struct compiler *c, struct value args, struct scope s)
{
    return choose(c, tree(c, head(args), s), sequence(c, tail(args), s), NULL);
}

static struct node *
unless_form(struct compiler *c, struct value args, struct scope s)
{
    return choose(c, tree(c, head(args), s), constant(c, simple(UNSPECIFIED)), sequence(c, tail(args), s));
}

static struct node *
either(struct compiler *c, struct node *first, struct node *second)
{
    struct node *n = node(c, OR, 2);

    n->parts[0] = first;
    n->parts[1] = second;
    return n;
}

static struct node *
cond_form(struct compiler *c, struct value args, struct scope s)
{
    struct node *result = NULL, **place = &result;

    for (; args.kind == PAIR; args = tail(args)) {
        struct value clause = head(args);

        if (clause.kind != PAIR)
            compiler_fail(c, "a clause of cond is a list");
        if (is_form(clause, "else")) {
            *place = sequence(c, tail(clause), s);
            return result;
        }
        if (tail(clause).kind == NIL) {
            *place = either(c, tree(c, head(clause), s), constant(c, simple(UNSPECIFIED)));
            place = &(*place)->parts[1];
        } else {
            *place = choose(c, tree(c, head(clause), s), sequence(c, tail(clause), s), NULL);
            place = &(*place)->parts[2];
        }
    }
    return result ? result : constant(c, simple(UNSPECIFIED));
}

static struct node *
and_form(struct compiler *c, struct value args, struct scope s)
{
    struct node *result = NULL, **place = &result;

    for (; tail(args).kind == PAIR; args = tail(args)) {
        *place = choose(c, tree(c, head(args), s), NULL, constant(c, simple(FALSE)));
        place = &(*place)->parts[1];
    }
    *place = tree(c, head(args), s);
    return result;
}

static struct node *
or_form(struct compiler *c, struct value args, struct scope s)
{
    struct node *result = NULL, **place = &result;

    for (; tail(args).kind == PAIR; args = tail(args)) {
        *place = either(c, tree(c, head(args), s), NULL);
        place = &(*place)->parts[1];
    }
    *place = tree(c, head(args), s);
    return result;
}

/* ---- The rest -------------------------------------------------------------------------------------------------- */

static struct node *
quote_form(struct compiler *c, struct value args, struct scope s)
{
    (void)s;
    return constant(c, head(args));
}

static struct node *
set_form(struct compiler *c, struct value args, struct scope s)
{
    struct symbol   *name = name_of(c, head(args));
    struct variable *v = resolve(c, &s, name);
    struct node     *n;

    if (length_of(c, args) != 2)
        compiler_fail(c, "set! takes a name and a value");
    if (v)
        return assign(c, v, tree(c, head(tail(args)), s));
    refuse_built_in(c, name);
    n = node(c, SET_GLOBAL, 1);
    n->datum = head(args);
    n->parts[0] = tree(c, head(tail(args)), s);
    return n;
}

static struct node *
apply_form(struct compiler *c, struct value args, struct scope s)
{
    struct node *n = node(c, APPLY, length_of(c, args));

    if (n->count < 2)
        compiler_fail(c, "apply takes a procedure and arguments, the last a list");
    all(c, args, s, n->parts);
    return n;
}

static const struct form {
    const char  *name;
    struct node *(*make)(struct compiler *c, struct value args, struct scope s);
} forms[] = {
    {"and", and_form},       {"apply", apply_form},   {"begin", sequence},       {"cond", cond_form},
    {"define", define_form}, {"if", if_form},         {"lambda", lambda_form},   {"let", let_form},
    {"let*", let_star_form}, {"letrec", letrec_form}, {"or", or_form},           {"quote", quote_form},
    {"set!", set_form},      {"unless", unless_form}, {"when", when_form},
};

static struct node *
call(struct compiler *c, struct value v, struct scope s)
{
    size_t                  count = length_of(c, v);
    struct node            *n = node(c, CALL, count);
    const struct primitive *p;

    all(c, v, s, n->parts);
    if (n->parts[0]->kind == CONSTANT && n->parts[0]->datum.kind == PRIMITIVE) {
        p = primitive_at(n->parts[0]->datum.number);
        if ((int)count - 1 < p->least || (p->most >= 0 && (int)count - 1 > p->most))
            compiler_fail(c, "%s is called with %zu arguments", p->name, count - 1);
        n->kind = BUILT_IN;
        n->built_in = n->parts[0]->datum.number;
        n->parts++;
        n->count--;
    }
    return n;
}

static struct node *
tree(struct compiler *c, struct value v, struct scope s)
{
    if (v.kind == SYMBOL)
        return reference(c, v, s);
    if (v.kind == NIL)
        compiler_fail(c, "() is not evaluated");
    if (v.kind != PAIR)
        return constant(c, v);
    if (head(v).kind == SYMBOL && !resolve(c, &s, head(v).object))
        for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
            if (is_form(v, forms[i].name)) {
                if (length_of(c, v) == 1)
                    compiler_fail(c, "%s takes arguments", forms[i].name);
                return forms[i].make(c, tail(v), s);
            }
    return call(c, v, s);
}

struct lambda *
tree_of(struct compiler *c, struct value datum)
{
    struct lambda *l = compiler_take(c, sizeof *l);

    l->body = tree(c, datum, (struct scope){l, NULL});
    return l;
}
