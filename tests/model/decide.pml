/* SPDX-License-Identifier: MIT
 *
 * decide.pml - the decision whether a component with weak references dies (src/decide.h; docs/design.md, "Decide")
 *
 * Two members, each with a weak reference. A collector takes DECISIONS decisions in a row, each about some members that
 * are still alive. Two upgraders upgrade a member a few times (UPGRADES, UPGRADES_OF_OTHER) and give the unit back.
 * word[].count counts the units of upgraders only: 0 is what the review has seen, the ring's own units.
 *
 * Properties (assertions)
 *   alive      an upgrade succeeds only on a member that is not gone, and what is held does not go
 *   final      NULL only for a member that is gone; the commit sets gone, for all its members in one step, for ever
 *   lock-free  an upgrade starts over only if somebody else has changed something since it began this try
 *   no wait    every process reaches its end (no invalid end state)
 *
 * Broken variants, each must fail
 *   COMMITTED_BELIEVED  no second look at the word after COMMITTED
 *   CONDEMN_FIRST       members are condemned before the decision is UNDECIDED
 *   KEEP_VERSION        flags change without a bump of the version
 *   NEXT_BEFORE_TURN    the next decision opens while members of an aborted one are still condemned
 *   COMMIT_BY_STORE     commits over an abort
 *   IGNORE_UNDECIDED    an upgrade that meets UNDECIDED goes on without aborting
 *   WAIT_UNDECIDED      .. waits for the outcome
 *   EACH_ALONE          no common word: each member is condemned and killed by itself (RACE-19)
 *
 * Sequentially consistent. Not modelled: the wrap of versions, memory of the dead (a grace period after DEAD holds it).
 *
 * VARIANTS: COMMITTED_BELIEVED CONDEMN_FIRST KEEP_VERSION NEXT_BEFORE_TURN
 * VARIANTS: COMMIT_BY_STORE IGNORE_UNDECIDED WAIT_UNDECIDED EACH_ALONE
 * LIMITS: -m10000
 * ENDS: checked
 */
#ifndef DECISIONS
#define DECISIONS 2
#endif
#ifndef UPGRADES
#define UPGRADES 2
#endif
#ifndef UPGRADES_OF_OTHER
#define UPGRADES_OF_OTHER 1
#endif
#define MEMBERS 2

mtype = { UNDECIDED, COMMITTED, ABORTED };

typedef Word {
    byte count;
    bit  condemned, dead;
    byte version
};

Word  word[MEMBERS];
mtype decision = ABORTED;
byte  sequence;

bit gone[MEMBERS];  /* ghost: the commit has happened */
bit moved[2];       /* ghost: somebody else has changed something since upgrader i began its try */

#ifdef KEEP_VERSION
#define FLAGS_BUMP 0
#else
#define FLAGS_BUMP 1
#endif

/* ---- Words: every one of these is one atomic step ---------------------------------------------------------------- */

#define SAME_FLAGS(w, seen) (w.condemned == seen.condemned && w.dead == seen.dead)
#define IS(w, seen)         (w.count == seen.count && w.version == seen.version && SAME_FLAGS(w, seen))

inline load(seen, o)
{
    seen.count = word[o].count;
    seen.condemned = word[o].condemned;
    seen.dead = word[o].dead;
    seen.version = word[o].version
}

inline forget(seen)
{
    seen.count = 0;
    seen.condemned = 0;
    seen.dead = 0;
    seen.version = 0
}

inline flags(o, is_condemned, is_dead)
{
    word[o].condemned = is_condemned;
    word[o].dead = is_dead;
    word[o].version = word[o].version + FLAGS_BUMP;
    moved[0] = 1;
    moved[1] = 1
}

/* ---- Upgraders --------------------------------------------------------------------------------------------------- */

proctype upgrader(byte me; byte upgrades)
{
    Word  w;
    mtype d;
    byte  s, o, n;

again:
    if
    :: n == upgrades -> goto end
    :: n < upgrades -> n++
    fi;
    if
    :: o = 0
    :: o = 1
    fi;
look:
    atomic { moved[me] = 0; load(w, o) };
    if
    :: w.dead -> assert(gone[o]); goto next                     /* NULL */
    :: !w.dead && !w.condemned -> goto raise
    :: else
    fi;
#ifdef EACH_ALONE
    goto raise;
#endif
    atomic { d = decision; s = sequence };
    if
    :: d == ABORTED -> goto raise
    :: d == UNDECIDED ->
#ifdef IGNORE_UNDECIDED
        goto raise;
#endif
#ifdef WAIT_UNDECIDED
        goto retry;
#endif
        if
        :: atomic { decision == UNDECIDED && sequence == s -> decision = ABORTED; moved[1 - me] = 1; goto raise }
        :: else -> goto retry
        fi
    :: d == COMMITTED ->
#ifndef COMMITTED_BELIEVED
        if
        :: !IS(word[o], w) -> goto retry
        :: else
        fi;
#endif
        assert(gone[o]);                                        /* NULL */
        goto next
    fi;
raise:
    if
    :: atomic { IS(word[o], w) -> assert(!gone[o]); word[o].count++; word[o].version++; moved[1 - me] = 1 }
    :: else -> goto retry
    fi;
    atomic { assert(!gone[o]); word[o].count--; word[o].version++; moved[1 - me] = 1 }; /* held; now given back */
next:
    atomic { forget(w); d = 0; s = 0; o = 0 };
    goto again;
retry:
    assert(moved[me]);
    goto look;
end:
    skip
}

/* ---- The collector ----------------------------------------------------------------------------------------------- */

#define IN(o) ((component >> (o)) & 1)

inline open_decision()
{
    atomic { sequence++; decision = UNDECIDED; moved[0] = 1; moved[1] = 1 }
}

inline read_words()
{
    i = 0;
    do
    :: i == MEMBERS -> break
    :: i < MEMBERS ->
        atomic {
            if
            :: IN(i) && (word[i].count > 0 || word[i].dead) -> good = 0 /* somebody has it: not garbage */
            :: IN(i) && word[i].count == 0 && !word[i].dead -> load(w[i], i)
            :: else
            fi;
            i++
        }
    od
}

inline condemn()
{
    i = 0;
    do
    :: i == MEMBERS || !good -> break
    :: i < MEMBERS && good ->
        atomic {
            if
            :: IN(i) && IS(word[i], w[i]) -> flags(i, 1, 0)
            :: IN(i) && !IS(word[i], w[i]) -> good = 0
            :: else
            fi;
            i++
        }
    od
}

inline commit()
{
    atomic {
        if
#ifndef COMMIT_BY_STORE
        :: decision != UNDECIDED -> good = 0 /* an upgrade has aborted it */
        :: else ->
#else
        :: true ->
#endif
            decision = COMMITTED;
            gone[0] = gone[0] || IN(0);
            gone[1] = gone[1] || IN(1);
            moved[0] = 1;
            moved[1] = 1
        fi
    }
}

inline abort_decision()
{
    atomic {
        if
        :: decision == UNDECIDED -> decision = ABORTED; moved[0] = 1; moved[1] = 1
        :: else
        fi
    }
}

inline turn()
{
    i = 0;
    do
    :: i == MEMBERS -> break
    :: i < MEMBERS ->
        atomic {
            if
            :: word[i].condemned && good -> flags(i, 0, 1)
            :: word[i].condemned && !good -> flags(i, 0, 0)
            :: else
            fi;
            i++
        }
    od
}

/* Without a common word: who is still condemned and not upgraded dies, each by its own step. */
inline kill_each()
{
    i = 0;
    do
    :: i == MEMBERS -> break
    :: i < MEMBERS ->
        atomic {
            if
            :: IN(i) && word[i].condemned && word[i].count == 0 ->
                gone[i] = 1;
                flags(i, 0, 1);
                assert(!(IN(1 - i) && word[1 - i].count > 0)) /* a member that is held leads to this one */
            :: else
            fi;
            i++
        }
    od
}

proctype collector()
{
    Word w[MEMBERS];
    byte n, i, component;
    bit  good;

    do
    :: n == DECISIONS -> break
    :: n < DECISIONS ->
        n++;
        good = 1;
        if
        :: component = 1
        :: component = 2
        :: component = 3
        fi;
        read_words();
        if
        :: good ->
#if defined(EACH_ALONE)
            condemn();
            kill_each();
            good = 0;
            turn();
#else
#ifdef CONDEMN_FIRST
            condemn();
            open_decision();
#else
            open_decision();
            condemn();
#endif
            if
            :: good -> commit()
            :: else
            fi;
            if
            :: good -> skip
            :: else -> abort_decision()
            fi;
#ifdef NEXT_BEFORE_TURN
            if
            :: good -> turn()
            :: else
            fi
#else
            turn()
#endif
#endif
        :: else
        fi;
        atomic { forget(w[0]); forget(w[1]); i = 0; component = 0; good = 0 }
    od
}

init
{
    atomic {
        run upgrader(0, UPGRADES);
        run upgrader(1, UPGRADES_OF_OTHER);
        run collector()
    }
}
