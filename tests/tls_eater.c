/* SPDX-License-Identifier: MIT
 *
 * tls_eater.c - a library with thread-local variables, built many times: of the dynamic and of the static model
 */
#ifdef STATIC_MODEL
#define MODEL __attribute__((tls_model("initial-exec")))
#define BYTES 64 /* of what the loader keeps for late comers */
#else
#define MODEL __attribute__((tls_model("global-dynamic")))
#define BYTES 20000
#endif

int eat(int n);

static __thread int space[BYTES / sizeof(int)] MODEL;

int
eat(int n)
{
    space[n % 2 ? 1 : BYTES / sizeof(int) - 1]++;
    return space[1] + space[BYTES / sizeof(int) - 1];
}
