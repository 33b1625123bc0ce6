/* Tests a library with HSA's interface against the specification, with Debian's own headers (libhsa-runtime-dev).
 *
 * What is asked is what the headers' comments promise: statuses of wrong calls, attributes, signals, queues, packets,
 * dependencies, memory. Kernels are functions of this program: the library's agents have the instruction set
 * `clef-host` (tests/hsa_mock/src/code.rs). The program ends with 0 if everything held, else it says what did not. */
#include <hsa/hsa.h>
#include <hsa/hsa_ext_amd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int failures = 0;
static volatile int calls = 0;

static void check_(int ok, const char *text, int line) {
    if (!ok) {
        failures++;
        printf("line %d: %s\n", line, text);
    }
}
#define CHECK(c) check_((c), #c, __LINE__)
#define GIVES(status, call) check_((call) == (status), #call " gives " #status, __LINE__)
#define OK(call) GIVES(HSA_STATUS_SUCCESS, call)

/* The code object of `clef-host`. */
struct param { uint8_t kind, size, effect, reserved; };
struct entry {
    const char *name;
    void (*run)(const uint8_t *);
    uint32_t kernarg_bytes, first;
    const struct param *params;
    uint32_t n_params, reserved;
};
struct code { char magic[8]; uint32_t version, count; const struct entry *entries; };
struct arg { uint64_t value, length; };

static void add_one(const uint8_t *kernarg) {
    const struct arg *args = (const struct arg *)kernarg;
    uint32_t *data = (uint32_t *)args[0].value;
    for (uint64_t i = 0; i < args[0].length; i++) data[i]++;
    __atomic_fetch_add(&calls, 1, __ATOMIC_SEQ_CST);
}

static const struct param params[] = {{1, 4, 3, 0}};
static const struct entry entries[] = {{"add_one", add_one, sizeof(struct arg), 0, params, 1, 0}};
static const struct code object = {"CLEFHOST", 1, 1, entries};

static hsa_agent_t cpu, gpu, npu;
static hsa_amd_memory_pool_t fine, kernargs, coarse;
static uint64_t kernel;

static hsa_status_t one_agent(hsa_agent_t agent, void *data) {
    hsa_device_type_t type;
    OK(hsa_agent_get_info(agent, HSA_AGENT_INFO_DEVICE, &type));
    if (type == HSA_DEVICE_TYPE_CPU) cpu = agent;
    if (type == HSA_DEVICE_TYPE_GPU) gpu = agent;
    if ((int)type == 3) npu = agent; /* newer than the headers: an NPU */
    ++*(int *)data;
    return HSA_STATUS_SUCCESS;
}

static hsa_status_t stop_at_once(hsa_agent_t agent, void *data) {
    (void)agent;
    ++*(int *)data;
    return HSA_STATUS_INFO_BREAK;
}

static hsa_status_t one_isa(hsa_isa_t isa, void *data) {
    uint32_t length = 0;
    OK(hsa_isa_get_info_alt(isa, HSA_ISA_INFO_NAME_LENGTH, &length));
    CHECK(length > 0 && length < 100);
    OK(hsa_isa_get_info_alt(isa, HSA_ISA_INFO_NAME, data));
    return HSA_STATUS_SUCCESS;
}

static hsa_status_t one_pool(hsa_amd_memory_pool_t pool, void *data) {
    hsa_amd_segment_t segment;
    uint32_t flags = 0;
    bool allowed = false;
    size_t size = 0, granule = 0, alignment = 0;
    OK(hsa_amd_memory_pool_get_info(pool, HSA_AMD_MEMORY_POOL_INFO_SEGMENT, &segment));
    OK(hsa_amd_memory_pool_get_info(pool, HSA_AMD_MEMORY_POOL_INFO_SIZE, &size));
    OK(hsa_amd_memory_pool_get_info(pool, HSA_AMD_MEMORY_POOL_INFO_RUNTIME_ALLOC_ALLOWED, &allowed));
    CHECK(size > 0);
    if (segment != HSA_AMD_SEGMENT_GLOBAL) {
        void *p = NULL;
        CHECK(!allowed);
        GIVES(HSA_STATUS_ERROR_INVALID_ALLOCATION, hsa_amd_memory_pool_allocate(pool, 64, 0, &p));
        return HSA_STATUS_SUCCESS;
    }
    OK(hsa_amd_memory_pool_get_info(pool, HSA_AMD_MEMORY_POOL_INFO_GLOBAL_FLAGS, &flags));
    OK(hsa_amd_memory_pool_get_info(pool, HSA_AMD_MEMORY_POOL_INFO_RUNTIME_ALLOC_GRANULE, &granule));
    OK(hsa_amd_memory_pool_get_info(pool, HSA_AMD_MEMORY_POOL_INFO_RUNTIME_ALLOC_ALIGNMENT, &alignment));
    CHECK(allowed && granule > 0 && alignment > 0);
    int is_fine = !!(flags & HSA_AMD_MEMORY_POOL_GLOBAL_FLAG_FINE_GRAINED);
    int is_coarse = !!(flags & HSA_AMD_MEMORY_POOL_GLOBAL_FLAG_COARSE_GRAINED);
    CHECK(is_fine + is_coarse == 1);
    if (data == NULL) {
        if (is_coarse) coarse = pool;
    } else if (flags & HSA_AMD_MEMORY_POOL_GLOBAL_FLAG_KERNARG_INIT) {
        kernargs = pool;
    } else if (is_fine) {
        fine = pool;
    }
    return HSA_STATUS_SUCCESS;
}

static void starting(void) {
    int n = 0;
    const char *text = NULL;
    GIVES(HSA_STATUS_ERROR_NOT_INITIALIZED, hsa_iterate_agents(one_agent, &n));
    OK(hsa_init());
    OK(hsa_init());
    OK(hsa_shut_down());
    OK(hsa_iterate_agents(one_agent, &n));
    CHECK(n == 3 && cpu.handle && gpu.handle && npu.handle);
    n = 0;
    GIVES(HSA_STATUS_INFO_BREAK, hsa_iterate_agents(stop_at_once, &n));
    CHECK(n == 1);
    GIVES(HSA_STATUS_ERROR_INVALID_ARGUMENT, hsa_iterate_agents(NULL, NULL));
    OK(hsa_status_string(HSA_STATUS_ERROR_OUT_OF_RESOURCES, &text));
    CHECK(text != NULL && strstr(text, "OUT_OF_RESOURCES") != NULL);
    GIVES(HSA_STATUS_ERROR_INVALID_ARGUMENT, hsa_status_string((hsa_status_t)7, &text));
    GIVES(HSA_STATUS_ERROR_INVALID_ARGUMENT, hsa_status_string(HSA_STATUS_SUCCESS, NULL));
}

static void agents(void) {
    char name[65] = {0}, isa[100] = {0};
    uint32_t value = 0;
    uint16_t major = 0;
    hsa_agent_t nobody = {99};
    OK(hsa_system_get_info(HSA_SYSTEM_INFO_VERSION_MAJOR, &major));
    CHECK(major == 1);
    GIVES(HSA_STATUS_ERROR_INVALID_ARGUMENT, hsa_system_get_info((hsa_system_info_t)12345, &major));
    OK(hsa_agent_get_info(gpu, HSA_AGENT_INFO_NAME, name));
    CHECK(strlen(name) > 0);
    GIVES(HSA_STATUS_ERROR_INVALID_AGENT, hsa_agent_get_info(nobody, HSA_AGENT_INFO_NAME, name));
    GIVES(HSA_STATUS_ERROR_INVALID_ARGUMENT, hsa_agent_get_info(gpu, (hsa_agent_info_t)12345, name));
    GIVES(HSA_STATUS_ERROR_INVALID_ARGUMENT, hsa_agent_get_info(gpu, HSA_AGENT_INFO_NAME, NULL));
    OK(hsa_agent_get_info(cpu, HSA_AGENT_INFO_QUEUES_MAX, &value));
    CHECK(value == 0);
    OK(hsa_agent_get_info(gpu, HSA_AGENT_INFO_QUEUE_MAX_SIZE, &value));
    CHECK(value >= 1024 && (value & (value - 1)) == 0);
    OK(hsa_agent_iterate_isas(gpu, one_isa, isa));
    CHECK(strcmp(isa, "clef-host") == 0);
    GIVES(HSA_STATUS_ERROR_INVALID_AGENT, hsa_agent_iterate_isas(nobody, one_isa, isa));
    OK(hsa_amd_agent_iterate_memory_pools(cpu, one_pool, &value));
    OK(hsa_amd_agent_iterate_memory_pools(gpu, one_pool, NULL));
    CHECK(fine.handle && kernargs.handle && coarse.handle);
}

static void signals(void) {
    hsa_signal_t s;
    OK(hsa_signal_create(5, 0, NULL, &s));
    GIVES(HSA_STATUS_ERROR_INVALID_ARGUMENT, hsa_signal_create(5, 0, NULL, NULL));
    GIVES(HSA_STATUS_ERROR_INVALID_ARGUMENT, hsa_signal_create(5, 1, NULL, &s));
    CHECK(hsa_signal_load_scacquire(s) == 5 && hsa_signal_load_relaxed(s) == 5);
    hsa_signal_store_relaxed(s, -3);
    CHECK(hsa_signal_load_relaxed(s) == -3);
    hsa_signal_store_screlease(s, 10);
    hsa_signal_add_screlease(s, 5);
    hsa_signal_subtract_relaxed(s, 1);
    CHECK(hsa_signal_load_relaxed(s) == 14);
    hsa_signal_and_relaxed(s, 6);
    hsa_signal_or_relaxed(s, 9);
    hsa_signal_xor_relaxed(s, 1);
    CHECK(hsa_signal_load_relaxed(s) == 14);
    CHECK(hsa_signal_exchange_scacq_screl(s, 1) == 14);
    CHECK(hsa_signal_cas_scacq_screl(s, 2, 3) == 1 && hsa_signal_load_relaxed(s) == 1);
    CHECK(hsa_signal_cas_scacq_screl(s, 1, 3) == 1 && hsa_signal_load_relaxed(s) == 3);
    CHECK(hsa_signal_wait_scacquire(s, HSA_SIGNAL_CONDITION_EQ, 3, UINT64_MAX, HSA_WAIT_STATE_BLOCKED) == 3);
    CHECK(hsa_signal_wait_scacquire(s, HSA_SIGNAL_CONDITION_NE, 4, UINT64_MAX, HSA_WAIT_STATE_ACTIVE) == 3);
    CHECK(hsa_signal_wait_scacquire(s, HSA_SIGNAL_CONDITION_GTE, 3, UINT64_MAX, HSA_WAIT_STATE_BLOCKED) == 3);
    /* What is not satisfied ends with the time. */
    CHECK(hsa_signal_wait_scacquire(s, HSA_SIGNAL_CONDITION_LT, 3, 1000000, HSA_WAIT_STATE_BLOCKED) == 3);
    OK(hsa_signal_destroy(s));
    GIVES(HSA_STATUS_ERROR_INVALID_SIGNAL, hsa_signal_destroy((hsa_signal_t){0}));
}

static void code(void) {
    hsa_code_object_reader_t reader;
    hsa_executable_t executable;
    hsa_executable_symbol_t symbol;
    uint32_t bytes = 0;
    struct code wrong = object;
    wrong.magic[0] = 'X';
    GIVES(HSA_STATUS_ERROR_INVALID_ARGUMENT, hsa_code_object_reader_create_from_memory(NULL, 8, &reader));
    GIVES(HSA_STATUS_ERROR_INVALID_ARGUMENT, hsa_code_object_reader_create_from_memory(&object, 0, &reader));
    OK(hsa_executable_create_alt(HSA_PROFILE_FULL, HSA_DEFAULT_FLOAT_ROUNDING_MODE_DEFAULT, NULL, &executable));
    OK(hsa_code_object_reader_create_from_memory(&wrong, sizeof wrong, &reader));
    GIVES(HSA_STATUS_ERROR_INVALID_CODE_OBJECT,
          hsa_executable_load_agent_code_object(executable, gpu, reader, NULL, NULL));
    OK(hsa_code_object_reader_destroy(reader));
    GIVES(HSA_STATUS_ERROR_INVALID_CODE_OBJECT_READER,
          hsa_executable_load_agent_code_object(executable, gpu, reader, NULL, NULL));
    OK(hsa_code_object_reader_create_from_memory(&object, sizeof object, &reader));
    OK(hsa_executable_load_agent_code_object(executable, gpu, reader, NULL, NULL));
    OK(hsa_executable_freeze(executable, NULL));
    GIVES(HSA_STATUS_ERROR_FROZEN_EXECUTABLE, hsa_executable_freeze(executable, NULL));
    GIVES(HSA_STATUS_ERROR_FROZEN_EXECUTABLE,
          hsa_executable_load_agent_code_object(executable, gpu, reader, NULL, NULL));
    GIVES(HSA_STATUS_ERROR_INVALID_SYMBOL_NAME, hsa_executable_get_symbol_by_name(executable, "none", &gpu, &symbol));
    OK(hsa_executable_get_symbol_by_name(executable, "add_one", &gpu, &symbol));
    OK(hsa_executable_symbol_get_info(symbol, HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_OBJECT, &kernel));
    OK(hsa_executable_symbol_get_info(symbol, HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_KERNARG_SEGMENT_SIZE, &bytes));
    CHECK(kernel != 0 && bytes == sizeof(struct arg));
    GIVES(HSA_STATUS_ERROR_INVALID_EXECUTABLE_SYMBOL,
          hsa_executable_symbol_get_info((hsa_executable_symbol_t){0}, HSA_EXECUTABLE_SYMBOL_INFO_TYPE, &bytes));
}

static void memory(void) {
    void *p = NULL;
    uint32_t access = 77;
    GIVES(HSA_STATUS_ERROR_INVALID_ARGUMENT, hsa_amd_memory_pool_allocate(fine, 0, 0, &p));
    GIVES(HSA_STATUS_ERROR_INVALID_ARGUMENT, hsa_amd_memory_pool_allocate(fine, 64, 0, NULL));
    GIVES(HSA_STATUS_ERROR_INVALID_ALLOCATION, hsa_amd_memory_pool_allocate(fine, (size_t)1 << 60, 0, &p));
    OK(hsa_amd_memory_pool_allocate(fine, 100, 0, &p));
    OK(hsa_amd_memory_fill(p, 0x01020304, 25));
    CHECK(((uint32_t *)p)[0] == 0x01020304 && ((uint32_t *)p)[24] == 0x01020304);
    OK(hsa_amd_agents_allow_access(1, &gpu, NULL, p));
    CHECK(hsa_amd_agents_allow_access(1, &npu, NULL, p) != HSA_STATUS_SUCCESS);
    GIVES(HSA_STATUS_ERROR_INVALID_ARGUMENT, hsa_amd_agents_allow_access(0, &gpu, NULL, p));
    OK(hsa_amd_memory_pool_free(p));
    CHECK(hsa_amd_memory_pool_free(p) != HSA_STATUS_SUCCESS);
    OK(hsa_amd_agent_memory_pool_get_info(cpu, fine, HSA_AMD_AGENT_MEMORY_POOL_INFO_ACCESS, &access));
    CHECK(access == HSA_AMD_MEMORY_POOL_ACCESS_ALLOWED_BY_DEFAULT);
    OK(hsa_amd_agent_memory_pool_get_info(gpu, fine, HSA_AMD_AGENT_MEMORY_POOL_INFO_ACCESS, &access));
    CHECK(access == HSA_AMD_MEMORY_POOL_ACCESS_DISALLOWED_BY_DEFAULT);
}

static volatile int told = 0;
static void on_error(hsa_status_t status, hsa_queue_t *queue, void *data) {
    (void)queue;
    CHECK(status != HSA_STATUS_SUCCESS && data == &told);
    told = 1;
}

static hsa_queue_t *new_queue(void) {
    hsa_queue_t *queue = NULL;
    OK(hsa_queue_create(gpu, 1024, HSA_QUEUE_TYPE_MULTI, on_error, (void *)&told, UINT32_MAX, UINT32_MAX, &queue));
    CHECK(queue->size == 1024 && queue->base_address != NULL && queue->doorbell_signal.handle != 0);
    CHECK(((uintptr_t)queue->base_address & 63) == 0);
    CHECK(queue->features & HSA_QUEUE_FEATURE_KERNEL_DISPATCH);
    return queue;
}

/* The slot of the next packet, behind the ones that are still there. */
static void *claim(hsa_queue_t *queue, uint64_t *index) {
    *index = hsa_queue_add_write_index_scacq_screl(queue, 1);
    while (*index - hsa_queue_load_read_index_scacquire(queue) >= queue->size) {}
    return (char *)queue->base_address + 64 * (*index & (queue->size - 1));
}

static void publish(hsa_queue_t *queue, uint64_t index, void *packet, int type) {
    uint16_t header = (uint16_t)(type << HSA_PACKET_HEADER_TYPE | 1 << HSA_PACKET_HEADER_BARRIER |
                                 HSA_FENCE_SCOPE_SYSTEM << HSA_PACKET_HEADER_SCACQUIRE_FENCE_SCOPE |
                                 HSA_FENCE_SCOPE_SYSTEM << HSA_PACKET_HEADER_SCRELEASE_FENCE_SCOPE);
    __atomic_store_n((uint16_t *)packet, header, __ATOMIC_RELEASE);
    hsa_signal_store_screlease(queue->doorbell_signal, (hsa_signal_value_t)index);
}

static void dispatch(hsa_queue_t *queue, void *arguments, hsa_signal_t done) {
    uint64_t index;
    hsa_kernel_dispatch_packet_t *p = claim(queue, &index);
    memset((char *)p + 2, 0, 62);
    p->setup = 1;
    p->workgroup_size_x = p->workgroup_size_y = p->workgroup_size_z = 1;
    p->grid_size_x = p->grid_size_y = p->grid_size_z = 1;
    p->kernel_object = kernel;
    p->kernarg_address = arguments;
    p->completion_signal = done;
    publish(queue, index, p, HSA_PACKET_TYPE_KERNEL_DISPATCH);
}

static void barrier(hsa_queue_t *queue, int type, hsa_signal_t a, hsa_signal_t b, hsa_signal_t done) {
    uint64_t index;
    hsa_barrier_and_packet_t *p = claim(queue, &index);
    memset((char *)p + 2, 0, 62);
    p->dep_signal[0] = a;
    p->dep_signal[3] = b;
    p->completion_signal = done;
    publish(queue, index, p, type);
}

static int64_t wait_for(hsa_signal_t s) {
    return hsa_signal_wait_scacquire(s, HSA_SIGNAL_CONDITION_LT, 1, UINT64_MAX, HSA_WAIT_STATE_BLOCKED);
}

static struct arg *arguments_for(void **data) {
    struct arg *args = NULL;
    OK(hsa_amd_memory_pool_allocate(fine, 64, 0, data));
    OK(hsa_amd_memory_fill(*data, 0, 16));
    OK(hsa_amd_agents_allow_access(1, &gpu, NULL, *data));
    OK(hsa_amd_memory_pool_allocate(kernargs, 64, 0, (void **)&args));
    OK(hsa_amd_agents_allow_access(1, &gpu, NULL, args));
    args->value = (uint64_t)*data;
    args->length = 16;
    return args;
}

struct producer { hsa_queue_t *queue; void *args; hsa_signal_t done; };
static void *produce(void *data) {
    struct producer *p = data;
    for (int n = 0; n < 2000; n++) dispatch(p->queue, p->args, p->done);
    return NULL;
}

static void queues(void) {
    hsa_queue_t *queue = NULL;
    hsa_signal_t done, gate, other;
    void *data;
    struct arg *args = arguments_for(&data);
    GIVES(HSA_STATUS_ERROR_INVALID_ARGUMENT, hsa_queue_create(gpu, 1000, 0, NULL, NULL, 0, 0, &queue));
    GIVES(HSA_STATUS_ERROR_INVALID_ARGUMENT, hsa_queue_create(gpu, 1024, 0, NULL, NULL, 0, 0, NULL));
    GIVES(HSA_STATUS_ERROR_INVALID_QUEUE_CREATION, hsa_queue_create(cpu, 1024, 0, NULL, NULL, 0, 0, &queue));
    queue = new_queue();
    OK(hsa_signal_create(1, 0, NULL, &done));
    OK(hsa_signal_create(1, 0, NULL, &gate));
    OK(hsa_signal_create(1, 0, NULL, &other));
    CHECK(hsa_queue_load_write_index_relaxed(queue) == 0 && hsa_queue_load_read_index_relaxed(queue) == 0);
    CHECK((*(uint16_t *)queue->base_address & 0xff) == HSA_PACKET_TYPE_INVALID);

    dispatch(queue, args, done);
    CHECK(wait_for(done) == 0 && calls == 1 && ((uint32_t *)data)[15] == 1);
    CHECK((*(uint16_t *)queue->base_address & 0xff) == HSA_PACKET_TYPE_INVALID);
    CHECK(hsa_queue_load_read_index_scacquire(queue) == 1);

    /* A barrier-and packet holds the kernel behind it until both its signals are 0. */
    hsa_signal_store_relaxed(done, 1);
    barrier(queue, HSA_PACKET_TYPE_BARRIER_AND, gate, other, (hsa_signal_t){0});
    dispatch(queue, args, done);
    hsa_signal_subtract_screlease(gate, 1);
    usleep(20000);
    CHECK(calls == 1 && hsa_signal_load_relaxed(done) == 1);
    hsa_signal_store_screlease(other, 0);
    CHECK(wait_for(done) == 0 && calls == 2);

    /* A barrier-or packet needs one of them. */
    hsa_signal_store_relaxed(done, 1);
    hsa_signal_store_relaxed(gate, 1);
    hsa_signal_store_relaxed(other, 1);
    barrier(queue, HSA_PACKET_TYPE_BARRIER_OR, gate, other, (hsa_signal_t){0});
    dispatch(queue, args, done);
    usleep(20000);
    CHECK(calls == 2);
    hsa_signal_store_screlease(other, 0);
    CHECK(wait_for(done) == 0 && calls == 3);

    /* Two producers on one queue, more packets than slots. */
    struct producer producer = {queue, args, done};
    pthread_t threads[2];
    hsa_signal_store_relaxed(done, 4000);
    for (int n = 0; n < 2; n++) pthread_create(&threads[n], NULL, produce, &producer);
    for (int n = 0; n < 2; n++) pthread_join(threads[n], NULL);
    CHECK(wait_for(done) == 0 && calls == 4003 && ((uint32_t *)data)[7] == 4003);
    CHECK(hsa_queue_load_write_index_scacquire(queue) == hsa_queue_load_read_index_scacquire(queue));
    OK(hsa_queue_destroy(queue));

    /* A kernel on memory that its agent was given no access to: the queue's callback is told. */
    queue = new_queue();
    OK(hsa_amd_memory_pool_allocate(fine, 64, 0, &data));
    args->value = (uint64_t)data;
    hsa_signal_store_relaxed(done, 1);
    dispatch(queue, args, done);
    for (int n = 0; n < 1000 && !told; n++) usleep(1000);
    CHECK(told == 1 && calls == 4003 && hsa_signal_load_relaxed(done) == 1);

    /* So is a packet of no type. */
    told = 0;
    queue = new_queue();
    uint64_t index;
    void *packet = claim(queue, &index);
    publish(queue, index, packet, 9);
    for (int n = 0; n < 1000 && !told; n++) usleep(1000);
    CHECK(told == 1);
}

int main(void) {
    starting();
    agents();
    signals();
    code();
    memory();
    queues();
    OK(hsa_shut_down());
    GIVES(HSA_STATUS_ERROR_NOT_INITIALIZED, hsa_shut_down());
    if (failures) printf("%d failures\n", failures);
    return failures != 0;
}
