/* SPDX-License-Identifier: MIT
 *
 * fuzz_resp.c - bytes of a connection as requests: the same ones however the bytes are cut, all arguments inside of the buffer
 *
 * The first byte says where to cut: the parser is given so many bytes more at a time.
 */
#include "fuzz.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "resp.h"

static void
require(bool what)
{
    if (!what)
        abort();
}

/* What was read, as a number. */
static uint64_t
sum_of(const struct resp *r, const char *buffer, size_t size, uint64_t sum)
{
    for (size_t i = 0; i < r->argc; i++) {
        require(r->argv[i].at >= buffer && r->argv[i].size <= size && r->argv[i].at <= buffer + size - r->argv[i].size);
        for (size_t k = 0; k < r->argv[i].size; k++)
            sum = (sum ^ (unsigned char)r->argv[i].at[k]) * UINT64_C(1099511628211);
        sum = (sum ^ 256) * UINT64_C(1099511628211);
    }
    return (sum ^ 257) * UINT64_C(1099511628211);
}

/* `step` bytes more at a time, as a server reads them; 0: all at once. *bad: whether it ended with an error. */
static uint64_t
read_all(const uint8_t *bytes, size_t size, size_t step, bool *bad)
{
    struct resp r = {0};
    char       *buffer = malloc(size + 1);
    size_t      at = 0, there = step ? 0 : size;
    uint64_t    sum = UINT64_C(14695981039346656037);

    require(buffer);
    if (size)
        memcpy(buffer, bytes, size);
    resp_next(&r);
    *bad = false;
    for (;;) {
        enum resp_result result = resp_read(&r, buffer + at, there - at);

        if (result == RESP_BAD) {
            require(strncmp(r.error, "Protocol error: ", 16) == 0);
            *bad = true;
            break;
        }
        if (result == RESP_MORE) {
            if (there == size)
                break;
            there = size - there < step ? size : there + step;
            continue;
        }
        require(r.used > 0 && r.used <= there - at);
        if (result == RESP_REQUEST_READ)
            sum = sum_of(&r, buffer + at, r.used, sum);
        at += r.used;
        resp_next(&r);
    }
    resp_free(&r);
    free(buffer);
    return sum;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    bool     bad, bad_in_parts;
    uint64_t whole;

    if (size == 0)
        return 0;
    whole = read_all(bytes + 1, size - 1, 0, &bad);
    require(read_all(bytes + 1, size - 1, 1, &bad_in_parts) == whole && bad == bad_in_parts);
    require(read_all(bytes + 1, size - 1, bytes[0] + 1u, &bad_in_parts) == whole && bad == bad_in_parts);
    return 0;
}
