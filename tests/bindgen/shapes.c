/* The library that the test of the binding generator calls. */
#include "shapes.h"
#include <stdlib.h>
#include <string.h>

struct shapes_set {
    uint32_t capacity, count;
};

int shapes_counter;

int shapes_add(int a, int b) { return a + b; }
int shapes_plus(int a, int b) { return a + b; }

struct shapes_point shapes_middle(struct shapes_point a, struct shapes_point b) {
    return (struct shapes_point){(a.x + b.x) / 2, (a.y + b.y) / 2};
}

struct shapes_pair shapes_swap(struct shapes_pair pair, int8_t by) {
    return (struct shapes_pair){(int32_t)pair.second + by, pair.first};
}

struct shapes_many shapes_fill(struct shapes_many many, double with) {
    for (int i = 0; i < 6; i++) many.numbers[i] += with;
    many.last += 1;
    return many;
}

double shapes_total(const double *numbers, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += numbers[i];
    return sum;
}

void shapes_scale(float values[3], const float factors[3]) {
    for (int i = 0; i < 3; i++) values[i] *= factors[i];
}

const char *shapes_describe(enum shapes_kind kind) {
    return kind == SHAPES_KIND_CIRCLE ? "circle" : kind == SHAPES_KIND_BOX ? "box" : NULL;
}

size_t shapes_length(const char *text) { return strlen(text); }

shapes_set *shapes_set_new(uint32_t capacity) {
    shapes_set *set = calloc(1, sizeof *set);
    set->capacity = capacity;
    return set;
}

bool shapes_set_add(shapes_set *set, const struct shapes_point *point) {
    if (set->count == set->capacity || point->x < 0) return false;
    set->count++;
    return true;
}

int shapes_set_count(const shapes_set *set) { return (int)set->count; }
void shapes_set_free(shapes_set *set) { free(set); }

int shapes_each(int count, shapes_visitor visitor, void *context) {
    int seen = 0;
    while (seen < count && visitor(seen, seen * 1.5, context)) seen++;
    return seen;
}

union shapes_any shapes_any_of(double one) { return (union shapes_any){.one = one}; }

void shapes_box_init(shapes_box *box) {
    memset(box, 0, sizeof *box);
    box->corner[1].x = 4;
    box->corner[1].y = 3;
    box->kind = SHAPES_KIND_BOX;
    for (int i = 0; i < 5; i++) box->tags[i] = (unsigned char)(250 + i);
    for (int i = 0; i < 6; i++) box->grid[i / 3][i % 3] = (uint16_t)(1000 * i);
    box->weights[2] = 0.5f;
    box->visible = true;
    box->inner.large = -5;
    box->value.number = 77;
    box->second = 9;
    box->bits = 3;
}

int shapes_box_sum(shapes_box box) {
    int sum = (int)(box.corner[0].x + box.corner[1].x) + box.inner.small + (int)box.inner.large + box.second;
    for (int i = 0; i < 5; i++) sum += box.tags[i];
    for (int i = 0; i < 6; i++) sum += box.grid[i / 3][i % 3];
    return sum + (box.visible ? 100000 : 0);
}
