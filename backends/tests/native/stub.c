// The part of the runtime that the back end's tests need. At the end it says how many objects are still alive.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
typedef struct { int32_t count; uint32_t tag; int64_t len; char bytes[]; } Str;
typedef struct { const char *file; uint32_t line, column; } Loc;
static long live;
// The heap whose free lists compiled code uses in place; refilled by nobody, so that both ways are taken.
static struct { void *free[129]; } heap;
void *clef_heap(void) { return &heap; }
void *clef_alloc(int64_t n) { live++; return malloc((n + 7) / 8 * 8); }
void clef_free(void *p, int64_t n) { live--; memset(p, 0xdd, n); free(p); }
void clef_start(int argc, char **argv) { (void)argc; (void)argv; }
int clef_finish(int code) { fflush(stdout);
    for (int i = 0; i < 129; i++) for (void **p = heap.free[i]; p; p = *p) live--;
    fprintf(stderr, "live %ld\n", live); return code; }
static Str *str(const char *b, int64_t n) {
    Str *s = clef_alloc(17 + n); s->count = 1; s->tag = 0; s->len = n; memcpy(s->bytes, b, n); s->bytes[n] = 0; return s;
}
typedef struct { int32_t count; uint32_t tag; int64_t len; Str *items[]; } Strs;
Strs *clef_args(int argc, char **argv) {
    Strs *a = clef_alloc(16 + 8 * (argc - 1)); a->count = 1; a->tag = 0; a->len = argc - 1;
    for (int i = 1; i < argc; i++) a->items[i - 1] = str(argv[i], strlen(argv[i]));
    return a;
}
void clef_print(Str *s) { fwrite(s->bytes, 1, s->len, stdout); }
void clef_eprint(Str *s) { fwrite(s->bytes, 1, s->len, stderr); }
Str *clef_concat(int64_t n, Str **p) {
    int64_t len = 0; for (int64_t i = 0; i < n; i++) len += p[i]->len;
    char *b = malloc(len + 1), *w = b;
    for (int64_t i = 0; i < n; i++) { memcpy(w, p[i]->bytes, p[i]->len); w += p[i]->len; }
    Str *s = str(b, len); free(b); return s;
}
Str *clef_format_int(int64_t v, const void *f) { (void)f; char b[32]; return str(b, sprintf(b, "%lld", (long long)v)); }
Str *clef_format_float(double v, const void *f) { (void)f; char b[64]; return str(b, sprintf(b, "%f", v)); }
static void stop(const char *what, const Loc *l) {
    fflush(stdout); fprintf(stderr, "%s:%u:%u: %s\n", l->file, l->line, l->column, what); exit(134);
}
void clef_panic_bounds(int64_t i, int64_t n, const Loc *l) {
    char b[80]; sprintf(b, "index %lld of %lld", (long long)i, (long long)n); stop(b, l);
}
void clef_panic_divide(const Loc *l) { stop("division by zero", l); }
void clef_panic_match(const Loc *l) { stop("no match", l); }
void clef_panic_step(const Loc *l) { stop("step of zero", l); }
void clef_panic_length(int64_t n, const Loc *l) { (void)n; stop("negative length", l); }
void clef_panic_fail(Str *s, const Loc *l) { stop(s->bytes, l); }
void clef_panic_not_ascii(int64_t i, const Loc *l) { (void)i; stop("not ASCII", l); }
// Agents: a dispatch runs at once; what was asked for is printed.
typedef struct { uint64_t value, len; } Arg;
typedef struct { uint8_t kind, size, effect, reserved; } Param;
typedef struct { const char *name; const Param *params; uint32_t n_params, n_phases; const void *phases; void (*host)(const Arg *); const char *object; } Kernel;
typedef struct { uint64_t sequence; uint32_t queue, reserved; } Site;
typedef struct { const Site *site; uint32_t routes, reserved; } After;
typedef struct { const Kernel *kernel; Site *site; const After *after; uint32_t n_after; uint8_t agent, device, queue, flags; uint16_t header, reserved[3]; Loc loc; } Dispatch;
static struct { char *at; int64_t bytes; long refs; } buffers[64];
static int n_buffers;
void *clef_alloc_unified(int64_t bytes, uint32_t agents, uint32_t hint, const Loc *l) {
    printf("allocate %lld agents %x hint %u line %u\n", (long long)bytes, agents, hint, l->line);
    buffers[n_buffers].at = calloc(1, bytes); buffers[n_buffers].bytes = bytes; buffers[n_buffers].refs = 1; live++;
    return buffers[n_buffers++].at;
}
void clef_buffer_retain(void *p) { for (int i = 0; i < n_buffers; i++) if (buffers[i].at == p) buffers[i].refs++; }
void clef_buffer_release(void *p) {
    for (int i = 0; i < n_buffers; i++) if (buffers[i].at == p && --buffers[i].refs == 0) live--;
}
void clef_dispatch(const Dispatch *d, const uint64_t *args) {
    Arg a[16];
    for (uint32_t i = 0; i < d->kernel->n_params; i++) {
        a[i].value = args[i]; a[i].len = 0;
        if (d->kernel->params[i].kind) for (int b = 0; b < n_buffers; b++)
            if (buffers[b].at == (char *)args[i]) a[i].len = buffers[b].bytes / d->kernel->params[i].size;
    }
    printf("dispatch %s agent %u queue %u header %04x after %u line %u\n", d->kernel->name, d->agent, d->queue, d->header, d->n_after, d->loc.line);
    d->site->sequence++;
    d->kernel->host(a);
}
void clef_wait(const After *s, uint32_t n, const Loc *l) {
    (void)l;
    for (uint32_t i = 0; i < n; i++) printf("wait for %llu routes %u\n", (unsigned long long)s[i].site->sequence, s[i].routes);
}
void clef_parallel(void (*body)(const void *, int64_t, int64_t), const void *env, int64_t items, int64_t cost) {
    (void)cost;
    if (items > 0) { body(env, 0, items / 2); body(env, items / 2, items); }
}
// Foreign functions with structs.
typedef struct { double a; int32_t b; } Mixed;
typedef struct { float x, y; int8_t c; } Small;
typedef struct { int32_t n; const char *text; double d[4]; Small inner; } Big;
Mixed mixed(Mixed m, int32_t k) { Mixed r = { m.a * k, m.b + k }; return r; }
int32_t small(Small s) { return (int32_t)(s.x * 100 + s.y * 10) + s.c; }
typedef struct { int64_t p, q, r; } Three;
Three three(Three t) { Three r = { t.r, t.q + 1, t.p }; return r; }
int32_t text_length(const char *s) { return (int32_t)strlen(s); }
const char *name_of(int32_t n) { return n ? "named" : 0; }
