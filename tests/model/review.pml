/* SPDX-License-Identifier: MIT
 *
 * review.pml - two traces around one grace period (src/review.c, src/subset.c; docs/design.md, section 8, "Review"), and the
 * rule of borrows (section 6)
 *
 * Two objects with two slots each, and a root slot. Two mutators with two variables each open and close sections, borrow, retain,
 * release, store, clear, make objects, and move a unit out of a private slot, in any order: at most OPERATIONS and
 * OPERATIONS_OF_OTHER times (sections are free). They begin with one of a few heaps. What is displaced is pending until the
 * sections that are open then have ended; then somebody gives it back. The dead give back what their slots hold. The collector
 * takes some objects for garbage (any of them: what is found by the largest subset is found by the right guess) and reviews
 * them. All are merged; `changed` stands for the version.
 *
 * Properties (assertions)
 *   no false answer  what passes the review is alive, and held by nobody: no variable, no pending unit, no slot of others
 *   borrows          what a mutator touches is alive
 *
 * Broken variants, each must fail
 *   ONE_TRACE           no second trace
 *   NO_FIRST_TRACE      no first one
 *   NO_GRACE            no grace period
 *   GRACE_FIRST         .. before the first trace
 *   GRACE_LAST          .. after the second trace
 *   NO_WORDS            the words are not compared at the end
 *   NO_VERSION          .. their counts are, and not their versions
 *   WORDS_LATE          the words are read after the first trace
 *   COUNT_NEUTRAL_MOVE  the move out of a private slot leaves the version alone
 *   PENDING_AT_ONCE     a displaced unit is given back at once
 *   BORROW_AFTER_LEAVE  a borrow goes on when its section has ended
 *
 * Larger bounds that were run: 5 and 2 operations: 21.2 million states; 4 and 3: 18.4 million; 3 and 3: 4.5
 * million.
 *
 * Sequentially consistent; the orders of weaker machines are an argument only. Not modelled: biased objects (before they are
 * merged their words tell nothing: they are not reviewed), weak references (decide.pml), moves inside a container.
 *
 * VARIANTS: ONE_TRACE NO_FIRST_TRACE NO_GRACE GRACE_FIRST GRACE_LAST NO_WORDS NO_VERSION WORDS_LATE
 * VARIANTS: COUNT_NEUTRAL_MOVE PENDING_AT_ONCE BORROW_AFTER_LEAVE
 * LARGER: OPERATIONS=5,OPERATIONS_OF_OTHER=2 OPERATIONS=4,OPERATIONS_OF_OTHER=3 OPERATIONS=3,OPERATIONS_OF_OTHER=3
 * LIMITS: -m100000
 */
#ifndef OPERATIONS
#define OPERATIONS 4
#endif
#ifndef OPERATIONS_OF_OTHER
#define OPERATIONS_OF_OTHER 1
#endif
#ifndef PENDING
#define PENDING 2 /* displaced units at a time */
#endif

#define NIL  2
#define ROOT 4
#define SLOT(o, s) slot[(o) * 2 + (s)]

mtype = { FREE, ALIVE, DYING };       /* objects */
mtype = { NOTHING, OWNED, BORROWED }; /* variables */

byte  slot[5];
byte  count[2];
mtype state[2];
bit   changed[2];  /* word1 has changed since the review has read it */
byte  pending[8];  /* of object o, waiting for the sections in a set of mutators: [o * 4 + set] */
byte  in_pending;  /* all of these */

mtype holds[4];    /* the variables of mutator m: m * 2, m * 2 + 1 */
byte  what[4];
bit   through[4];  /* borrowed through the unit that the mutator's other variable owns */
bit   inside[2];
byte  moved[2];    /* this object + 1: its unit is out of its slot, its version not yet bumped */
byte  left[2];

byte  reviewed;    /* set of objects; their memory is held */
bit   over;        /* the review has said something */
bit   waits_for[2];

#define IN(o)    ((reviewed >> (o)) & 1)
#define SECTIONS (inside[0] + inside[1] * 2)

inline decrement(o)
{
    count[o]--;
    changed[o] = 1;
    if
    :: count[o] == 0 -> state[o] = DYING
    :: else
    fi
}

/* What was in this slot until now. */
inline displace(s)
{
    if
    :: slot[s] != NIL ->
#ifdef PENDING_AT_ONCE
        decrement(slot[s])
#else
        pending[slot[s] * 4 + SECTIONS]++;
        in_pending++
#endif
    :: else
    fi
}

/* ---- Mutators: every option is one atomic step -------------------------------------------------------------------- */

#define MAY        (!over && left[me] > 0 && !moved[me])
#define HOLDS(i)   (holds[i] != NOTHING)
#define OWNS(i)    (holds[i] == OWNED)
#define BORROWS(i) (holds[i] == BORROWED)
#define ROOM       (in_pending < PENDING)

inline operation()
{
    left[me]--
}

inline touch(i)
{
    assert(state[what[i]] == ALIVE)
}

inline forget(i)
{
    holds[i] = NOTHING;
    what[i] = 0;
    through[i] = 0
}

/* The unit of variable i has gone into a slot; the other variable is j. In a section it is a borrow now. */
inline consumed(i, j, is_through)
{
    if
    :: inside[me] ->
        holds[i] = BORROWED;
        through[i] = is_through;
        through[j] = 0
    :: else -> forget(i)
    fi
}

inline end_borrows(i)
{
    if
    :: BORROWS(i) -> forget(i)
    :: else
    fi
}

/* The pending units of o wait no longer for the mutator. */
inline waited(o)
{
    if
    :: me == 0 ->
        pending[o * 4] = pending[o * 4] + pending[o * 4 + 1];
        pending[o * 4 + 1] = 0;
        pending[o * 4 + 2] = pending[o * 4 + 2] + pending[o * 4 + 3];
        pending[o * 4 + 3] = 0
    :: else ->
        pending[o * 4] = pending[o * 4] + pending[o * 4 + 2];
        pending[o * 4 + 2] = 0;
        pending[o * 4 + 1] = pending[o * 4 + 1] + pending[o * 4 + 3];
        pending[o * 4 + 3] = 0
    fi
}

/* i and j are the mutator's two variables, s is a slot of the object in the container's variable. */
#define PEEK(i, j, s) \
    :: atomic { MAY && inside[me] && !OWNS(i) && HOLDS(j) && SLOT(what[j], s) != NIL -> \
                operation(); touch(j); \
                holds[i] = BORROWED; what[i] = SLOT(what[j], s); through[i] = OWNS(j) }
#define PEEK_ROOT(i) \
    :: atomic { MAY && inside[me] && !OWNS(i) && slot[ROOT] != NIL -> \
                operation(); \
                holds[i] = BORROWED; what[i] = slot[ROOT]; through[i] = 0 }
#define RETAIN(i) \
    :: atomic { MAY && BORROWS(i) -> \
                operation(); touch(i); \
                count[what[i]]++; changed[what[i]] = 1; holds[i] = OWNED; through[i] = 0 }
#define RELEASE(i, j) \
    :: atomic { MAY && OWNS(i) -> \
                operation(); touch(i); \
                decrement(what[i]); \
                if :: through[j] -> forget(j) :: else fi; \
                forget(i) }
#define STORE(i, j, s) \
    :: atomic { MAY && OWNS(i) && HOLDS(j) && ROOM -> \
                operation(); touch(i); touch(j); \
                displace(what[j] * 2 + s); SLOT(what[j], s) = what[i]; consumed(i, j, OWNS(j)) }
#define STORE_IN_ITSELF(i, j, s) \
    :: atomic { MAY && OWNS(i) && ROOM -> \
                operation(); touch(i); \
                displace(what[i] * 2 + s); SLOT(what[i], s) = what[i]; consumed(i, j, 0) }
#define STORE_IN_ROOT(i, j) \
    :: atomic { MAY && OWNS(i) && ROOM -> \
                operation(); touch(i); \
                displace(ROOT); slot[ROOT] = what[i]; consumed(i, j, 0) }
#define CLEAR(i, s) \
    :: atomic { MAY && HOLDS(i) && SLOT(what[i], s) != NIL && ROOM -> \
                operation(); touch(i); \
                displace(what[i] * 2 + s); SLOT(what[i], s) = NIL }
#define NEW(i, o) \
    :: atomic { MAY && !HOLDS(i) && state[o] == FREE && !IN(o) -> \
                operation(); \
                state[o] = ALIVE; count[o] = 1; changed[o] = 1; holds[i] = OWNED; what[i] = o }
/* Out of a slot of an object whose only unit is mine: first the slot, then the version. */
#define MOVE(i, j, s) \
    :: atomic { MAY && !OWNS(i) && OWNS(j) && count[what[j]] == 1 && SLOT(what[j], s) != NIL -> \
                operation(); touch(j); \
                holds[i] = OWNED; what[i] = SLOT(what[j], s); through[i] = 0; SLOT(what[j], s) = NIL; \
                moved[me] = what[i] + 1 }

#define FOR_BOTH(DO)       DO(X, Y) DO(Y, X)
#define FOR_BOTH_SLOTS(DO) DO(X, Y, 0) DO(Y, X, 0) DO(X, Y, 1) DO(Y, X, 1)
#define X (me * 2)
#define Y (me * 2 + 1)

proctype mutator(byte me)
{
    do
    :: atomic { !over && !inside[me] && left[me] > 0 -> inside[me] = 1 }
    :: atomic { !over && inside[me] && !moved[me] ->
                inside[me] = 0;
                waits_for[me] = 0;
#ifndef BORROW_AFTER_LEAVE
                end_borrows(X);
                end_borrows(Y);
#endif
                waited(0);
                waited(1) }
    :: atomic { !over && moved[me] ->
#ifndef COUNT_NEUTRAL_MOVE
                changed[moved[me] - 1] = 1;
#endif
                moved[me] = 0 }
    FOR_BOTH_SLOTS(PEEK)
    PEEK_ROOT(X)
    PEEK_ROOT(Y)
    RETAIN(X)
    RETAIN(Y)
    FOR_BOTH(RELEASE)
    FOR_BOTH_SLOTS(STORE)
    FOR_BOTH_SLOTS(STORE_IN_ITSELF)
    FOR_BOTH(STORE_IN_ROOT)
    CLEAR(X, 0)
    CLEAR(X, 1)
    CLEAR(Y, 0)
    CLEAR(Y, 1)
    :: atomic { MAY && inside[me] && slot[ROOT] != NIL && ROOM -> operation(); displace(ROOT); slot[ROOT] = NIL }
    NEW(X, 0)
    NEW(X, 1)
    NEW(Y, 0)
    NEW(Y, 1)
    FOR_BOTH_SLOTS(MOVE)
    od
}

/* ---- What records do: pending units, deaths ------------------------------------------------------------------------ */

inline drop(s)
{
    if
    :: slot[s] != NIL -> decrement(slot[s]); slot[s] = NIL
    :: else
    fi
}

#define GIVE_BACK(o) \
    :: atomic { !over && pending[o * 4] > 0 -> pending[o * 4]--; in_pending--; decrement(o) }
#define BURY(o) \
    :: atomic { !over && state[o] == DYING -> state[o] = FREE; drop(o * 2); drop(o * 2 + 1) }

proctype records()
{
    do
    GIVE_BACK(0)
    GIVE_BACK(1)
    BURY(0)
    BURY(1)
    od
}

/* ---- The review ---------------------------------------------------------------------------------------------------- */

/* Once a word has changed the review cannot pass any more: it stops early, to save states. */
#if defined(NO_VERSION) || defined(NO_WORDS)
#define HOPELESS false
#else
#define HOPELESS ((IN(0) && changed[0] && read[0]) || (IN(1) && changed[1] && read[1]))
#endif

inline read_word(o)
{
    atomic {
        if
        :: IN(o) && state[o] != ALIVE -> over = 1
        :: IN(o) && state[o] == ALIVE -> word[o] = count[o]; changed[o] = 0; read[o] = 1
        :: else
        fi;
        !over
    }
}

inline see(o, s)
{
    atomic {
        if
        :: HOPELESS -> over = 1
        :: !HOPELESS && IN(o) && SLOT(o, s) != NIL -> edges[SLOT(o, s)]++
        :: else
        fi;
        !over
    }
}

inline trace_all()
{
    see(0, 0);
    see(0, 1);
    see(1, 0);
    see(1, 1)
}

/* Count = edges seen. */
inline check()
{
    atomic {
        over = (IN(0) && edges[0] != word[0]) || (IN(1) && edges[1] != word[1]);
        edges[0] = 0;
        edges[1] = 0;
        !over
    }
}

inline grace()
{
    atomic { waits_for[0] = inside[0]; waits_for[1] = inside[1] };
    !waits_for[0] && !waits_for[1]
}

inline compare_word(o)
{
    atomic {
#if defined(NO_VERSION)
        over = IN(o) && count[o] != word[o];
#elif !defined(NO_WORDS)
        over = IN(o) && changed[o];
#endif
        !over
    }
}

#define HELD_BY_VARIABLE(o) ((HOLDS(0) && what[0] == o) || (HOLDS(1) && what[1] == o) || \
                             (HOLDS(2) && what[2] == o) || (HOLDS(3) && what[3] == o))
#define IS_PENDING(o)       (pending[o * 4] + pending[o * 4 + 1] + pending[o * 4 + 2] + pending[o * 4 + 3] > 0)
#define LEADS_HERE(p, o)    (!IN(p) && (SLOT(p, 0) == o || SLOT(p, 1) == o))

inline condemn(o)
{
    assert(!IN(o) || (state[o] == ALIVE && !HELD_BY_VARIABLE(o) && !IS_PENDING(o)));
    assert(!IN(o) || (slot[ROOT] != o && !LEADS_HERE(1 - o, o)))
}

proctype collector()
{
    byte word[2], edges[2];
    bit  read[2];

    atomic {
        if
        :: reviewed = 1
        :: reviewed = 2
        :: reviewed = 3
        fi
    };
#ifdef WORDS_LATE
    trace_all();
    read_word(0);
    read_word(1);
    check();
#else
    read_word(0);
    read_word(1);
#ifdef GRACE_FIRST
    grace();
#endif
#ifndef NO_FIRST_TRACE
    trace_all();
    check();
#endif
#endif
#if !defined(NO_GRACE) && !defined(GRACE_FIRST) && !defined(GRACE_LAST)
    grace();
#endif
#ifndef ONE_TRACE
    trace_all();
    check();
#endif
#ifdef GRACE_LAST
    grace();
#endif
    compare_word(0);
    compare_word(1);
    atomic {
        over = 1;
        condemn(0);
        condemn(1)
    }
}

/* ---- Heaps to begin with ------------------------------------------------------------------------------------------- */

inline begin_with(o, units, a, b)
{
    state[o] = ALIVE;
    count[o] = units;
    SLOT(o, 0) = a;
    SLOT(o, 1) = b
}

inline own(i, o)
{
    holds[i] = OWNED;
    what[i] = o
}

init
{
    atomic {
        slot[0] = NIL;
        slot[1] = NIL;
        slot[2] = NIL;
        slot[3] = NIL;
        slot[ROOT] = NIL;
        state[0] = FREE;
        state[1] = FREE;
        holds[0] = NOTHING;
        holds[1] = NOTHING;
        holds[2] = NOTHING;
        holds[3] = NOTHING;
        left[0] = OPERATIONS;
        left[1] = OPERATIONS_OF_OTHER;
        if
        :: begin_with(0, 1, 1, NIL); begin_with(1, 1, NIL, NIL); own(0, 0)
        :: begin_with(0, 1, NIL, NIL); own(0, 0)
        :: begin_with(0, 2, 0, NIL); own(0, 0)
        :: begin_with(0, 2, 1, NIL); begin_with(1, 1, 0, NIL); slot[ROOT] = 0
        :: begin_with(0, 2, 1, NIL); begin_with(1, 1, 0, NIL); own(0, 0)
        fi;
        run mutator(0);
        run mutator(1);
        run records();
        run collector()
    }
}
