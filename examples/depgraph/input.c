/* SPDX-License-Identifier: MIT
 *
 * input.c - opens apt's indexes and reads lines
 *
 * Plain files are read as they are. Compressed ones come through apt's own helper, which knows every format that apt
 * writes: started without a shell, read through a pipe, and its exit status decides whether the end was the end.
 */
#define _GNU_SOURCE /* pipe2 */
#include "input.h"

#include "need.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_LIMIT ((size_t)1 << 20)
#define LISTS      "/var/lib/apt/lists"
#define STATUS     "/var/lib/dpkg/status"
#define HELPER     "/usr/lib/apt/apt-helper"

extern char **environ;

int
fault_at(struct fault *fault, const char *file, unsigned long line, const char *format, ...)
{
    va_list arguments;
    int     used = snprintf(fault->text, sizeof fault->text, "%.700s:%lu: ", file, line);

    va_start(arguments, format);
    vsnprintf(fault->text + used, sizeof fault->text - (size_t)used, format, arguments);
    va_end(arguments);
    return -1;
}

static const char *const compressed[] = {".lz4", ".gz", ".xz", ".zst", ".bz2", ".lzma"};

/* Length of a compression suffix at the end of the name, or 0. */
static size_t
suffix_length(const char *file)
{
    size_t i, length = strlen(file);

    for (i = 0; i < sizeof compressed / sizeof compressed[0]; i++) {
        size_t suffix = strlen(compressed[i]);

        if (length > suffix && strcmp(file + length - suffix, compressed[i]) == 0)
            return suffix;
    }
    return 0;
}

/* Starts the helper with its output on `write_end`. Returns 0 or an errno. */
static int
start_helper(struct input *in, int write_end)
{
    char                       helper[] = HELPER, verb[] = "cat-file";
    char                      *arguments[] = {helper, verb, (char *)in->file, NULL};
    posix_spawn_file_actions_t actions;
    int                        error;

    error = posix_spawn_file_actions_init(&actions);
    if (error)
        return error;
    error = posix_spawn_file_actions_adddup2(&actions, write_end, STDOUT_FILENO);
    if (!error)
        error = posix_spawn(&in->child, HELPER, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error)
        in->child = 0;
    return error;
}

static int
open_compressed(struct input *in, struct fault *fault)
{
    int ends[2], error;

    if (access(in->file, R_OK) != 0)
        return fault_at(fault, in->file, 0, "cannot read: %s", strerror(errno));
    if (pipe2(ends, O_CLOEXEC) != 0)
        return fault_at(fault, in->file, 0, "no pipe: %s", strerror(errno));
    error = start_helper(in, ends[1]);
    close(ends[1]);
    if (!error)
        in->stream = fdopen(ends[0], "r");
    if (!in->stream)
        close(ends[0]);
    if (error)
        return fault_at(fault, in->file, 0, "cannot run " HELPER " to decompress: %s", strerror(error));
    return in->stream ? 0 : fault_at(fault, in->file, 0, "no stream: %s", strerror(errno));
}

int
input_open(struct input *in, const char *file, struct fault *fault)
{
    *in = (struct input){.file = file};
    if (suffix_length(file) > 0)
        return open_compressed(in, fault);
    in->stream = fopen(file, "re");
    if (!in->stream)
        return fault_at(fault, file, 0, "cannot open: %s", strerror(errno));
    return 0;
}

/* The helper ends when its pipe was read to the end, or is closed. */
static int
end_helper(struct input *in, struct fault *fault)
{
    pid_t child = in->child;
    int   status;

    in->child = 0;
    if (!child)
        return 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return fault_at(fault, in->file, in->line, "lost the decompression: %s", strerror(errno));
    }
    if (WIFSIGNALED(status))
        return fault_at(fault, in->file, in->line, "decompression failed (signal %d)", WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        return fault_at(fault, in->file, in->line, "decompression failed (exit status %d)", WEXITSTATUS(status));
    return 0;
}

/*
 * Says whether a last line without newline is there. A decompression that failed comes before what it left; not all of
 * them notice that their input was cut, but then there is seldom a newline at the end.
 */
static int
end_of_input(struct input *in, struct fault *fault)
{
    if (ferror(in->stream))
        return fault_at(fault, in->file, in->line, "cannot read: %s", strerror(errno));
    if (end_helper(in, fault) != 0)
        return -1;
    if (in->length > 0 && suffix_length(in->file) > 0)
        return fault_at(fault, in->file, in->line, "the file ends within a line");
    return in->length > 0;
}

static int
take_byte(struct input *in, int byte, struct fault *fault)
{
    if (byte == '\0')
        return fault_at(fault, in->file, in->line, "NUL byte");
    if (in->length == LINE_LIMIT)
        return fault_at(fault, in->file, in->line, "line longer than %zu bytes", LINE_LIMIT);
    in->text = need_room(in->text, in->length + 1, &in->capacity, 1);
    in->text[in->length++] = (char)byte;
    return 0;
}

int
input_line(struct input *in, struct fault *fault)
{
    int byte, more = 1;

    in->length = 0;
    in->line++;
    while ((byte = getc_unlocked(in->stream)) != '\n') {
        if (byte == EOF) {
            more = end_of_input(in, fault);
            break;
        }
        if (take_byte(in, byte, fault) != 0)
            return -1;
    }
    in->text = need_room(in->text, in->length + 1, &in->capacity, 1);
    in->text[in->length] = '\0';
    return more;
}

int
input_close(struct input *in, struct fault *fault)
{
    int result;

    if (in->stream)
        fclose(in->stream);
    result = end_helper(in, fault);
    free(in->text);
    *in = (struct input){0};
    return result;
}

void
input_one(struct file_list *list, const char *file)
{
    char *copy = strdup(file);

    if (!copy)
        need_failed();
    list->at = need_room(list->at, list->count, &list->capacity, sizeof *list->at);
    list->at[list->count++] = copy;
}

static int
is_index(const struct dirent *found)
{
    static const char word[] = "Packages";
    size_t            length = strlen(found->d_name), suffix = suffix_length(found->d_name);

    if (length < suffix + strlen(word))
        return 0;
    return strncmp(found->d_name + length - suffix - strlen(word), word, strlen(word)) == 0;
}

/* The same index in two forms is read once: sorted, the plain form comes first. */
static int
is_other_form(const struct file_list *list, const char *file)
{
    const char *last = list->count ? list->at[list->count - 1] : "";
    size_t      length = strlen(last) - suffix_length(last);

    return length > 0 && strlen(file) - suffix_length(file) == length && strncmp(file, last, length) == 0;
}

void
input_default(struct file_list *list)
{
    struct dirent **found;
    char            path[4096];
    int             i, count = scandir(LISTS, &found, is_index, alphasort);

    for (i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", LISTS, found[i]->d_name);
        if (!is_other_form(list, path))
            input_one(list, path);
        free(found[i]);
    }
    if (count >= 0)
        free(found);
    if (list->count == 0)
        input_one(list, STATUS);
}

void
input_free(struct file_list *list)
{
    size_t i;

    for (i = 0; i < list->count; i++)
        free(list->at[i]);
    free(list->at);
    *list = (struct file_list){0};
}
