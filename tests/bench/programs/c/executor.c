// What a parallel region costs with OpenMP, and how fast plain loops are: the same work as executor.clef.
//
//     executor NAME CALLS BATCHES      prints the least and the median time of a call in nanoseconds, and a check sum
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static float *x, *z;
static int n;
enum { COLUMNS = 2048 };

static void empty(void) {
#pragma omp parallel
    __asm__ volatile("" ::: "memory");
}

static void saxpy(void) {
    const float a = 0.0001f;
#pragma omp parallel for schedule(static)
    for (int i = 0; i < n; i++) z[i] = a * x[i] + z[i];
}

static void softmax(void) {
#pragma omp parallel for schedule(static)
    for (int r = 0; r < n / COLUMNS; r++) {
        const float *from = x + (size_t)r * COLUMNS;
        float *to = z + (size_t)r * COLUMNS, most = from[0], sum = 0;
        for (int k = 0; k < COLUMNS; k++) most = from[k] > most ? from[k] : most;
        for (int k = 0; k < COLUMNS; k++) {
            float e = expf(from[k] - most);
            to[k] = e;
            sum += e;
        }
        float scale = 1.0f / sum;
        for (int k = 0; k < COLUMNS; k++) to[k] *= scale;
    }
}

static void allocate(int count, float first, float second) {
    n = count;
    size_t bytes = ((size_t)n * sizeof *x + 63) / 64 * 64;
    x = aligned_alloc(64, bytes);
    z = aligned_alloc(64, bytes);
    for (int i = 0; i < n; i++) {
        x[i] = first * (i % 61);
        z[i] = second * (i % 61);
    }
}

static void measure(int calls, int batches, void (*work)(void)) {
    work();
    double *times = malloc(batches * sizeof *times);
    for (int b = 0; b < batches; b++) {
        double start = now();
        for (int k = 0; k < calls; k++) work();
        times[b] = (now() - start) / calls;
    }
    qsort(times, batches, sizeof *times, by_value);
    printf("%.1f %.1f\n", times[0], times[batches / 2]);
}

int main(int argc, char **argv) {
    const char *name = argc > 3 ? argv[1] : "";
    int calls = argc > 3 ? atoi(argv[2]) : 0, batches = argc > 3 ? atoi(argv[3]) : 0;
    double check = 1;
    if (!strcmp(name, "empty") || !strcmp(name, "agent")) {
        measure(calls, batches, empty);
    } else if (!strcmp(name, "saxpy_small") || !strcmp(name, "saxpy_big")) {
        allocate(!strcmp(name, "saxpy_small") ? 8192 : 16777216, 0.25f, 0.5f);
        measure(calls, batches, saxpy);
        check = z[n / 2];
    } else if (!strcmp(name, "softmax_big")) {
        allocate(4096 * COLUMNS, 0.125f, 0);
        measure(calls, batches, softmax);
        check = z[12345];
    } else {
        fprintf(stderr, "executor NAME CALLS BATCHES\n");
        return 2;
    }
    printf("%.6g\n", check);
    return 0;
}
