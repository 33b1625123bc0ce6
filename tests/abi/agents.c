/* Agents for kernels' host code on processors that the runtime is not built for: every dispatch runs at once, on the
 * thread of the program, its loops in pieces. Layouts are those of runtime/src/abi.rs. It shows that the code of kernels
 * is right, and nothing about queues, fences or threads: by the time of a wait all has been done. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *clef_alloc(int64_t bytes);
void clef_free(void *block, int64_t bytes);

struct sequence {
    int32_t count;
    uint32_t tag;
    int64_t length;
    char bytes[];
};

struct arg {
    uint64_t value, length;
};

struct param {
    uint8_t kind, size, effect, reserved;
};

struct kernel {
    const char *name;
    const struct param *params;
    uint32_t n_params, n_phases;
    const void *phases;
    void (*host)(const struct arg *);
    const char *object;
};

struct dispatch {
    const struct kernel *kernel;
};

struct format {
    uint32_t conversion;
    uint16_t width;
    int16_t precision;
    uint8_t flags, bits, is_unsigned, reserved;
};

/* --- buffers */

static struct buffer {
    char *start;
    size_t bytes;
    int64_t count;
} buffers[4096];

static struct buffer *find(const char *address) {
    for (int i = 0; i < 4096; i++) {
        struct buffer *b = &buffers[i];
        if (b->start && address >= b->start && address < b->start + (b->bytes ? b->bytes : 1)) return b;
    }
    return NULL;
}

void *clef_alloc_unified(int64_t bytes, uint32_t agents, uint32_t hint, const void *loc) {
    (void)agents, (void)hint, (void)loc;
    for (int i = 0; i < 4096; i++) {
        if (buffers[i].start) continue;
        char *start = calloc(1, bytes ? (size_t)bytes : 1);
        if (!start) abort();
        buffers[i] = (struct buffer){start, (size_t)bytes, 0};
        return start;
    }
    abort();
}

void clef_buffer_retain(char *address) {
    struct buffer *b = find(address);
    if (b) b->count++;
}

void clef_buffer_release(char *address) {
    struct buffer *b = find(address);
    if (!b || --b->count > 0) return;
    free(b->start);
    b->start = NULL;
}

/* --- dispatches */

void clef_dispatch(const struct dispatch *d, const uint64_t *args) {
    const struct kernel *kernel = d->kernel;
    struct arg list[64];
    if (kernel->n_params > 64) abort();
    for (uint32_t i = 0; i < kernel->n_params; i++) {
        const struct param *p = &kernel->params[i];
        list[i] = (struct arg){args[i], 0};
        if (p->kind == 0) continue;
        const struct buffer *b = find((char *)args[i]);
        if (!b) abort();
        list[i].length = (b->bytes - (args[i] - (uint64_t)b->start)) / p->size;
    }
    kernel->host(list);
}

void clef_wait(const void *sites, uint32_t n, const void *loc) { (void)sites, (void)n, (void)loc; }
void clef_batch_begin(void) {}
void clef_batch_end(void) {}

void clef_parallel(void (*body)(const void *, int64_t, int64_t), const void *env, int64_t items, int64_t cost) {
    (void)cost;
    /* Pieces of odd sizes, the last one first: their order means nothing. */
    int64_t piece = items / 3 + 1;
    for (int64_t begin = items / piece * piece; begin >= 0; begin -= piece)
        if (begin < items) body(env, begin, begin + piece < items ? begin + piece : items);
}

/* --- text */

static struct sequence *text(int64_t length) {
    struct sequence *s = clef_alloc(sizeof *s + length + 1);
    *s = (struct sequence){.count = 1, .length = length};
    s->bytes[length] = 0;
    return s;
}

struct sequence *clef_concat(int64_t n, struct sequence *const *parts) {
    int64_t length = 0;
    for (int64_t i = 0; i < n; i++) length += parts[i]->length;
    struct sequence *all = text(length);
    char *at = all->bytes;
    for (int64_t i = 0; i < n; i++) {
        memcpy(at, parts[i]->bytes, (size_t)parts[i]->length);
        at += parts[i]->length;
    }
    return all;
}

struct sequence *clef_append(struct sequence *taken, int64_t n, struct sequence *const *parts) {
    struct sequence *more = clef_concat(n, parts), *pair[] = {taken, more};
    struct sequence *all = clef_concat(2, pair);
    clef_free(more, 0);
    if (taken->count == 1)
        clef_free(taken, 0);
    else if (taken->count > 1)
        taken->count--;
    return all;
}

static struct sequence *formatted(const char *bytes) {
    struct sequence *s = text((int64_t)strlen(bytes));
    strcpy(s->bytes, bytes);
    return s;
}

/* Only what the programs use: no width and no flags. */
static void plain(const struct format *f) {
    if (f->width || f->flags) abort();
}

struct sequence *clef_format_int(int64_t value, const struct format *f) {
    plain(f);
    char out[32];
    snprintf(out, sizeof out, f->is_unsigned ? "%llu" : "%lld", (long long)value);
    return formatted(out);
}

struct sequence *clef_format_float(double value, const struct format *f) {
    plain(f);
    if (f->conversion != 'f') abort();
    char out[400];
    snprintf(out, sizeof out, "%.*f", f->precision < 0 ? 6 : f->precision, value);
    return formatted(out);
}
