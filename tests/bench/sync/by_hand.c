/* planned.clef by hand: the same runtime called in the same order, with the fewest waits, barriers and scopes that
   make it right on HSA. The structures are those of runtime/src/abi.rs. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { const char *file; uint32_t line, column; } Loc;
typedef struct { uint64_t value, len; } Arg;
typedef struct { uint8_t kind, size, effect, reserved; } Param;
typedef struct {
    const char *name;
    const Param *params;
    uint32_t n_params, n_phases;
    const void *phases;
    void (*host)(const Arg *);
    const char *object;
} Kernel;
typedef struct { uint64_t sequence; uint32_t queue, reserved; } Site;
typedef struct { const Site *site; uint32_t routes, reserved; } After;
typedef struct {
    const Kernel *kernel;
    Site *site;
    const After *after;
    uint32_t n_after;
    uint8_t agent, device, queue, flags;
    uint16_t header, reserved[3];
    Loc loc;
} Dispatch;

void clef_start(int, char **);
int clef_finish(int);
void clef_dispatch(const Dispatch *, const uint64_t *);
void clef_wait(const After *, uint32_t, const Loc *);
void clef_parallel(void (*)(const uint8_t *, int64_t, int64_t), const void *, int64_t, int64_t);
void *clef_alloc_unified(int64_t, uint32_t, uint32_t, const Loc *);
void clef_buffer_retain(void *);

enum { GPU = 1, NPU = 2, CLEAN = 1, NONE = 0, AGENT = 1, SYSTEM = 2 };
static const Loc here = { "by_hand.c", 1, 1 };

static void body(const uint8_t *env, int64_t begin, int64_t end) {
    const Arg *args = (const Arg *)env;
    const int32_t *x = (const int32_t *)args[0].value;
    int32_t *z = (int32_t *)args[1].value;
    for (int64_t i = begin; i < end; i++) z[i] = x[i] + 1;
}
static void next(const Arg *args) { clef_parallel(body, args, (int64_t)args[1].len, 3); }

static const Param params[] = { { 1, 4, 1, 0 }, { 1, 4, 2 | 4, 0 } };
static const Kernel kernel = { "next", params, 2, 0, NULL, next, NULL };

#define HEADER(acquire, release) (2 | 1 << 8 | (acquire) << 9 | (release) << 11)
static Dispatch at(Site *site, uint8_t agent, uint8_t queue, uint8_t flags, uint16_t header) {
    Dispatch d = { &kernel, site, NULL, 0, agent, 0, queue, flags, header, { 0 }, here };
    return d;
}
static void run(const Dispatch *d, int32_t *x, int32_t *z) {
    uint64_t args[] = { (uint64_t)x, (uint64_t)z };
    clef_dispatch(d, args);
}
static void wait_for(const Site *site) {
    After after = { site, 3, 0 };
    clef_wait(&after, 1, &here);
}
static int32_t *fresh(void) {
    void *buffer = clef_alloc_unified(1024, 1 | 2 | 1 << 8, 3, &here);
    clef_buffer_retain(buffer);
    return buffer;
}

static int32_t pingpong(int rounds) {
    static Site gpu;
    Dispatch g = at(&gpu, GPU, 0, 0, HEADER(SYSTEM, SYSTEM));
    volatile int32_t *a = fresh(), *b = fresh();
    uint32_t total = 0;
    for (int r = 1; r <= rounds; r++) {
        a[0] = r;
        run(&g, (int32_t *)a, (int32_t *)b);
        wait_for(&gpu);
        total += (uint32_t)b[0];
    }
    return (int32_t)total;
}

static int32_t pipeline(int rounds) {
    static Site npu, first, second;
    After follow = { &first, 3, 0 };
    Dispatch n = at(&npu, NPU, 0, CLEAN, HEADER(NONE, NONE));
    Dispatch f = at(&first, GPU, 0, 0, HEADER(SYSTEM, AGENT));
    Dispatch s = at(&second, GPU, 1, 0, HEADER(AGENT, SYSTEM));
    s.after = &follow;
    s.n_after = 1;
    volatile int32_t *a = fresh(), *b = fresh(), *c = fresh(), *d = fresh();
    uint32_t total = 0;
    for (int r = 1; r <= rounds; r++) {
        a[0] = r;
        run(&n, (int32_t *)a, (int32_t *)b);
        wait_for(&npu);
        run(&f, (int32_t *)b, (int32_t *)c);
        run(&s, (int32_t *)c, (int32_t *)d);
        wait_for(&second);
        total += (uint32_t)d[0];
    }
    return (int32_t)total;
}

static int32_t chain(int rounds) {
    static Site there, back;
    Dispatch t = at(&there, GPU, 0, 0, HEADER(SYSTEM, AGENT));
    Dispatch k = at(&back, GPU, 0, 0, HEADER(AGENT, SYSTEM));
    volatile int32_t *a = fresh(), *b = fresh();
    a[0] = 1;
    for (int r = 1; r <= rounds; r++) {
        run(&t, (int32_t *)a, (int32_t *)b);
        run(&k, (int32_t *)b, (int32_t *)a);
    }
    wait_for(&back);
    return a[0];
}

int main(int argc, char **argv) {
    clef_start(argc, argv);
    int rounds = argc > 2 ? atoi(argv[2]) : 1000;
    const char *what = argc > 1 ? argv[1] : "chain";
    int32_t total = !strcmp(what, "pingpong") ? pingpong(rounds) : !strcmp(what, "pipeline") ? pipeline(rounds) : chain(rounds);
    printf("%d\n", total);
    fflush(stdout);
    return clef_finish(0);
}
