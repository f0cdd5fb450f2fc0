/* SPDX-License-Identifier: MIT
 *
 * version.pml - what two equal words tell (src/count.c: wn_count_retain, wn_count_moved; src/weak.c: upgrade; src/review.c: w1, w2;
 * docs/design.md, section 8, lemma "versions")
 *
 * One object that is merged and reviewed again and again, and THREADS threads that retain it, upgrade a weak reference to it,
 * release it, move a unit of it out of a private slot, as often as they like, and stop wherever they like. A version has BITS bits
 * only: it wraps all the time. Besides, marks and flags change at most FLAGS times in a review. At most UNITS units are out.
 *
 * Properties (assertions)
 *   lemma  if w2 is w1 as a whole, and REVIEW is set, no count has changed and no unit has moved in between
 *   floor  the count is never below the units that are out
 *
 * This is right as long as 2 THREADS + FLAGS < 2^BITS.
 *
 * Broken variants, each must fail
 *   COUNTS_COMPARED    .. if the counts are equal and REVIEW is set
 *   REVIEW_IGNORED     .. if the words are equal but for REVIEW
 *   RETAIN_KEEPS       a retain does not clear REVIEW
 *   UPGRADE_KEEPS      an upgrade does not
 *   MOVE_KEEPS         a move does not
 *   MOVE_SILENT        a move leaves no trace at all
 *   SET_AGAIN          REVIEW is set once more between w1 and w2
 *   ONE_BIT_LESS       2 THREADS + FLAGS > 2^BITS
 *
 * Also right: a retain that clears REVIEW first and adds then (at most one of each thread is between the two).
 *
 * Larger bounds that were run: THREADS 3, FLAGS 1: 0.7 million states.
 *
 * Sequentially consistent; all accesses are to one word. Not modelled: what the traces see (review.pml), the queue (bias.pml).
 *
 * VARIANTS: COUNTS_COMPARED REVIEW_IGNORED RETAIN_KEEPS UPGRADE_KEEPS MOVE_KEEPS MOVE_SILENT SET_AGAIN ONE_BIT_LESS
 * LARGER: THREADS=3,FLAGS=1
 * LIMITS: -m1000000
 */
#ifndef THREADS
#define THREADS 2
#endif
#ifndef FLAGS
#define FLAGS 3
#endif
#ifndef SIZE
#define SIZE 8 /* 2^BITS */
#endif
#ifndef UNITS
#define UNITS 2
#endif

#ifdef ONE_BIT_LESS
#define WRAP ((SIZE) / 2)
#else
#define WRAP (SIZE)
#endif

/* word1 */
byte version, count = 1; /* the slot's unit */
bit  review;

byte out;     /* units that threads hold */
byte flagged; /* in this review */
bit  changed; /* since w1 */

#define BUMP version = (version + 1) % WRAP

/* ---- Threads ---------------------------------------------------------------------------------------------------------- */

inline retain()
{
    d_step {
        out < UNITS;
        count++;
        out++;
        BUMP;
        changed = 1;
        seen = review
    };
#ifndef RETAIN_KEEPS
    if
    :: seen -> review = 0
    :: else
    fi
#endif
}

inline upgrade()
{
    d_step {
        out < UNITS;
        count++;
        out++;
        BUMP;
#ifndef UPGRADE_KEEPS
        review = 0;
#endif
        changed = 1
    }
}

inline release()
{
    d_step {
        out > 0;
        count--;
        out--;
        BUMP;
        changed = 1
    }
}

inline move()
{
    d_step {
        out > 0; /* the container's unit becomes the mover's */
        changed = 1;
#ifndef MOVE_SILENT
        BUMP;
#endif
        seen = review
    };
#if !defined(MOVE_KEEPS) && !defined(MOVE_SILENT)
    if
    :: seen -> review = 0
    :: else
    fi
#endif
}

active [THREADS] proctype thread()
{
    bit seen;

end:
    do
    :: retain()
    :: upgrade()
    :: release()
    :: move()
    :: d_step { flagged < FLAGS -> flagged++; BUMP }
    od
}

/* ---- The collector ------------------------------------------------------------------------------------------------------ */

active proctype collector()
{
    byte version1, count1;
    bit  set, alike;

end:
    do
    :: d_step { review = 1; BUMP };
       d_step { /* w1 */
           version1 = version;
           count1 = count;
           set = review;
           flagged = 0;
           changed = 0
       };
#ifdef SET_AGAIN
       if
       :: review = 1
       :: skip
       fi;
#endif
       d_step { /* w2 */
           alike = (count == count1);
#ifndef COUNTS_COMPARED
           alike = alike && version == version1;
#endif
#ifndef REVIEW_IGNORED
           alike = alike && review;
#endif
           assert(!(set && alike && changed));
           assert(count == 1 + out);
           version1 = 0;
           count1 = 0
       }
    od
}
