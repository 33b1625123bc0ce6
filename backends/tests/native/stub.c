// The part of the runtime that the back end's tests need. At the end it says how many objects are still alive.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
typedef struct { int32_t count; uint32_t tag; int64_t len; char bytes[]; } Str;
typedef struct { const char *file; uint32_t line, column; } Loc;
static long live;
void *clef_alloc(int64_t n) { live++; return malloc(n); }
void clef_free(void *p, int64_t n) { live--; memset(p, 0xdd, n); free(p); }
void clef_start(int argc, char **argv) { (void)argc; (void)argv; }
int clef_finish(int code) { fflush(stdout); fprintf(stderr, "live %ld\n", live); return code; }
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
