/* Every shape that the binding generator knows; shapes.c defines the functions that the test calls. */
#ifndef SHAPES_H
#define SHAPES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SHAPES_API __attribute__((visibility("default")))

/* Constants */
#define SHAPES_VERSION 3
#define SHAPES_LIMIT SHAPES_VERSION
#define SHAPES_ERROR (-7)
#define SHAPES_SEED 0xFFFFFFFF
#define SHAPES_BIG 0x123456789abcdefULL
#define SHAPES_SMALLEST (-9223372036854775807LL - 1)
#define SHAPES_RATIO 0.25
#define SHAPES_HALF 0.5f
#define SHAPES_NAME "sha\"pes\n"
#define SHAPES_LETTER 'A'
#define SHAPES_MASK (SHAPES_VERSION << 4 | 1)
#define SHAPES_NOWHERE ((void *)-1)
#define SHAPES_MAX(a, b) ((a) > (b) ? (a) : (b))
#define shapes_alias shapes_add
static const unsigned long long SHAPES_FLAG_HIGH = 1ULL << 40;
extern int shapes_counter;

/// What a shape is made of.
enum shapes_kind {
    SHAPES_KIND_NONE = 0,
    /// A round one.
    SHAPES_KIND_CIRCLE,
    SHAPES_KIND_BOX = 10,
    SHAPES_KIND_LAST = SHAPES_KIND_BOX,
    SHAPES_KIND_BAD = -1,
};

typedef enum { SHAPES_RED, SHAPES_GREEN } shapes_color;

enum { SHAPES_ANSWER = 42, SHAPES_BELOW = -3 };

typedef int32_t shapes_id;
typedef float shapes_triple[3];

/// A set of shapes, which the library keeps to itself.
typedef struct shapes_set shapes_set;
typedef struct shapes_token_t *shapes_token;

/// Called for each shape; the result says whether to go on.
typedef bool (*shapes_visitor)(shapes_id id, double area, void *context);

/// A point.
/// Two numbers.
struct shapes_point {
    float x; ///< to the right
    float y;
};

typedef struct {
    struct shapes_point corner[2];
    const char *label;
    enum shapes_kind kind;
    shapes_color color;
    unsigned char tags[5];
    uint16_t grid[2][3];
    shapes_triple weights;
    bool visible;
    struct {
        int8_t small;
        int64_t large;
    } inner;
    union {
        int32_t number;
        float real;
    } value;
    struct {
        short first, second;
    };
    union {
        double wide;
        uint64_t bits;
    };
    shapes_visitor visit;
    int (*compare)(const void *, const void *);
    void *context;
} shapes_box;

/// A list: refers to itself and to what refers to it.
struct shapes_node {
    struct shapes_node *next;
    struct shapes_tree *owner;
    long number;
};

struct shapes_tree {
    struct shapes_node root;
    struct shapes_node **all;
    size_t count;
};

union shapes_any {
    float pair[2];
    double one;
};

union shapes_large {
    char text[40];
    void *pointer;
};

struct shapes_bits {
    unsigned int low : 3;
    unsigned int high : 29;
    unsigned int whole;
};

struct __attribute__((packed)) shapes_packed {
    char tag;
    int number;
};

struct __attribute__((aligned(16))) shapes_aligned {
    int number;
};

struct shapes_blob {
    int length;
    char bytes[];
};

struct shapes_pair {
    int32_t first;
    double second;
};

struct shapes_many {
    double numbers[6];
    int32_t last;
};

/// Adds two numbers.
///
/// Both may be negative.
SHAPES_API int shapes_add(int a, int b);
SHAPES_API struct shapes_point shapes_middle(struct shapes_point a, struct shapes_point b);
SHAPES_API struct shapes_pair shapes_swap(struct shapes_pair pair, int8_t by);
SHAPES_API struct shapes_many shapes_fill(struct shapes_many many, double with);
SHAPES_API double shapes_total(const double *numbers, size_t count);
SHAPES_API void shapes_scale(float values[3], const float factors[3]);
SHAPES_API const char *shapes_describe(enum shapes_kind kind);
SHAPES_API size_t shapes_length(const char *text);
SHAPES_API shapes_set *shapes_set_new(uint32_t capacity);
SHAPES_API bool shapes_set_add(shapes_set *set, const struct shapes_point *point);
SHAPES_API int shapes_set_count(const shapes_set *set);
SHAPES_API void shapes_set_free(shapes_set *set);
SHAPES_API int shapes_each(int count, shapes_visitor visitor, void *context);
SHAPES_API union shapes_any shapes_any_of(double one);
SHAPES_API void shapes_box_init(shapes_box *box);
SHAPES_API int shapes_box_sum(shapes_box box);
SHAPES_API __attribute__((deprecated("use shapes_add"))) int shapes_plus(int a, int b);
SHAPES_API shapes_token shapes_begin(int type, bool val);
SHAPES_API void shapes_print(FILE *stream, const struct shapes_packed *packed);

/* Without a binding */
SHAPES_API int shapes_format(char *out, const char *format, ...);
SHAPES_API int shapes_vformat(char *out, const char *format, va_list arguments);
SHAPES_API struct shapes_packed shapes_pack(char tag, int number);
SHAPES_API long double shapes_precise(long double x);
static inline int shapes_inline(int x) { return x + 1; }

#ifdef __cplusplus
}
#endif
#endif
