/* What a Clef program of the ABI tests needs of the runtime, in C, for processors that the runtime is not built for.
 * Layouts and meanings are those of runtime/src/{memory,output,start,stop}.rs. It holds no agents and no intrinsics
 * beyond these; unlike the runtime it counts every block, so that a leak ends the program with code 3. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { UNIT = 8, CLASSES = 1024 / UNIT + 1 };

struct sequence {
    int32_t count;
    uint32_t tag;
    int64_t length;
    char bytes[];
};

struct loc {
    const char *file;
    int32_t line, column;
};

/* Compiled code takes small blocks from these lists and puts them back in place. */
static struct {
    void *free[CLASSES];
} heap;
static int64_t blocks;

void *clef_heap(void) { return &heap; }

void *clef_alloc(int64_t bytes) {
    blocks++;
    void *block = malloc(((size_t)bytes + UNIT - 1) / UNIT * UNIT);
    if (!block) abort();
    return block;
}

void clef_free(void *block, int64_t bytes) {
    (void)bytes;
    if (block) blocks--;
    free(block);
}

void clef_start(int argc, char **argv) { (void)argc, (void)argv; }

void *clef_args(int argc, char **argv) {
    (void)argc, (void)argv;
    struct sequence *none = clef_alloc(sizeof *none);
    *none = (struct sequence){.count = 1};
    return none;
}

void clef_print(const struct sequence *text) { fwrite(text->bytes, 1, (size_t)text->length, stdout); }

int clef_finish(int code) {
    for (int class = 0; class < CLASSES; class++)
        for (void *block = heap.free[class]; block; block = *(void **)block) blocks--;
    if (blocks == 0) return code;
    fprintf(stderr, "%lld blocks were not released\n", (long long)blocks);
    return 3;
}

static _Noreturn void stop_at(const struct loc *loc) {
    fprintf(stderr, " at %s:%d:%d\n", loc->file, loc->line, loc->column);
    exit(134);
}

_Noreturn void clef_panic_fail(const struct sequence *message, const struct loc *loc) {
    fwrite(message->bytes, 1, (size_t)message->length, stderr);
    stop_at(loc);
}

_Noreturn void clef_panic_bounds(int64_t index, int64_t length, const struct loc *loc) {
    fprintf(stderr, "index %lld of %lld", (long long)index, (long long)length);
    stop_at(loc);
}

_Noreturn void clef_panic_divide(const struct loc *loc) {
    fputs("division by zero", stderr);
    stop_at(loc);
}
