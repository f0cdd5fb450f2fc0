/* SPDX-License-Identifier: MIT
 *
 * empty.c - a library of two functions that do nothing: what two calls into a library cost
 */
void empty_retain(void *object);
void empty_release(void *object);

void
empty_retain(void *object)
{
    (void)object;
}

void
empty_release(void *object)
{
    (void)object;
}
