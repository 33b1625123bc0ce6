//! Our hand-written declarations of HSA's interface against Debian's headers (libhsa-runtime-dev): sizes, offsets and
//! numbers, and that the library there has every function that is required.

use clef_runtime::agents::table;
use clef_runtime::hsa::sys;
use std::mem::{offset_of, size_of};
use std::process::Command;

/// C expressions and what they must be.
fn expected() -> Vec<(&'static str, u64)> {
    let n = |v: u32| u64::from(v);
    let at = |v: usize| v as u64;
    vec![
        ("sizeof(hsa_queue_t)", at(size_of::<sys::Queue>())),
        ("sizeof(hsa_queue_t)", at(size_of::<table::QueueHead>())),
        ("offsetof(hsa_queue_t, base_address)", at(offset_of!(table::QueueHead, base))),
        ("offsetof(hsa_queue_t, doorbell_signal)", at(offset_of!(table::QueueHead, doorbell))),
        ("offsetof(hsa_queue_t, size)", at(offset_of!(table::QueueHead, size))),
        ("sizeof(hsa_kernel_dispatch_packet_t)", at(size_of::<table::Packet>())),
        ("offsetof(hsa_kernel_dispatch_packet_t, setup)", at(offset_of!(table::Packet, setup))),
        ("offsetof(hsa_kernel_dispatch_packet_t, workgroup_size_x)", at(offset_of!(table::Packet, body))),
        ("offsetof(hsa_kernel_dispatch_packet_t, grid_size_x)", 4 + at(offset_of!(table::KernelBody, grid))),
        (
            "offsetof(hsa_kernel_dispatch_packet_t, private_segment_size)",
            4 + at(offset_of!(table::KernelBody, private_bytes)),
        ),
        (
            "offsetof(hsa_kernel_dispatch_packet_t, group_segment_size)",
            4 + at(offset_of!(table::KernelBody, group_bytes)),
        ),
        (
            "offsetof(hsa_kernel_dispatch_packet_t, kernel_object)",
            4 + at(offset_of!(table::KernelBody, object)),
        ),
        (
            "offsetof(hsa_kernel_dispatch_packet_t, kernarg_address)",
            4 + at(offset_of!(table::KernelBody, kernarg)),
        ),
        (
            "offsetof(hsa_kernel_dispatch_packet_t, completion_signal)",
            at(offset_of!(table::Packet, completion)),
        ),
        (
            "offsetof(hsa_barrier_and_packet_t, dep_signal)",
            4 + at(offset_of!(table::BarrierBody, dependencies)),
        ),
        ("offsetof(hsa_barrier_and_packet_t, completion_signal)", at(offset_of!(table::Packet, completion))),
        ("sizeof(hsa_amd_event_t)", at(size_of::<sys::Event>())),
        ("offsetof(hsa_amd_event_t, memory_fault.agent)", at(offset_of!(sys::Event, agent))),
        ("offsetof(hsa_amd_event_t, memory_fault.virtual_address)", at(offset_of!(sys::Event, address))),
        ("offsetof(hsa_amd_event_t, memory_fault.fault_reason_mask)", at(offset_of!(sys::Event, reasons))),
        ("sizeof(bool)", 1),
        ("HSA_PACKET_TYPE_INVALID", u64::from(table::INVALID)),
        ("HSA_PACKET_TYPE_KERNEL_DISPATCH", u64::from(table::KERNEL_DISPATCH)),
        ("HSA_PACKET_TYPE_BARRIER_AND", u64::from(table::BARRIER_AND)),
        ("1 << HSA_PACKET_HEADER_BARRIER", u64::from(table::BARRIER_BIT)),
        (
            "HSA_FENCE_SCOPE_AGENT << HSA_PACKET_HEADER_SCACQUIRE_FENCE_SCOPE | HSA_FENCE_SCOPE_SYSTEM << \
             HSA_PACKET_HEADER_SCRELEASE_FENCE_SCOPE | 1 << HSA_PACKET_HEADER_BARRIER | HSA_PACKET_TYPE_BARRIER_AND",
            u64::from(table::header(table::BARRIER_AND, table::SCOPE_AGENT, table::SCOPE_SYSTEM)),
        ),
        ("HSA_STATUS_SUCCESS", n(sys::SUCCESS)),
        ("HSA_STATUS_INFO_BREAK", n(sys::INFO_BREAK)),
        ("HSA_STATUS_ERROR_INVALID_AGENT", n(sys::INVALID_AGENT)),
        ("HSA_STATUS_ERROR_OUT_OF_RESOURCES", n(sys::OUT_OF_RESOURCES)),
        ("HSA_ACCESS_PERMISSION_RW", n(sys::PERMISSION_RW)),
        ("HSA_DEVICE_TYPE_CPU", n(sys::DEVICE_CPU)),
        ("HSA_DEVICE_TYPE_GPU", n(sys::DEVICE_GPU)),
        ("HSA_SYSTEM_INFO_VERSION_MAJOR", n(sys::SYSTEM_VERSION_MAJOR)),
        ("HSA_SYSTEM_INFO_VERSION_MINOR", n(sys::SYSTEM_VERSION_MINOR)),
        ("HSA_AMD_SYSTEM_INFO_BUILD_VERSION", n(sys::SYSTEM_BUILD_VERSION)),
        ("HSA_AGENT_INFO_NAME", n(sys::AGENT_NAME)),
        ("HSA_AGENT_INFO_VENDOR_NAME", n(sys::AGENT_VENDOR)),
        ("HSA_AGENT_INFO_QUEUES_MAX", n(sys::AGENT_QUEUES_MAX)),
        ("HSA_AGENT_INFO_QUEUE_MIN_SIZE", n(sys::AGENT_QUEUE_MIN)),
        ("HSA_AGENT_INFO_QUEUE_MAX_SIZE", n(sys::AGENT_QUEUE_MAX)),
        ("HSA_AGENT_INFO_DEVICE", n(sys::AGENT_DEVICE)),
        ("HSA_AMD_AGENT_INFO_COMPUTE_UNIT_COUNT", n(sys::AGENT_COMPUTE_UNITS)),
        ("HSA_AMD_AGENT_INFO_PRODUCT_NAME", n(sys::AGENT_PRODUCT)),
        ("HSA_ISA_INFO_NAME_LENGTH", n(sys::ISA_NAME_LENGTH)),
        ("HSA_ISA_INFO_NAME", n(sys::ISA_NAME)),
        ("HSA_AMD_MEMORY_POOL_INFO_SEGMENT", n(sys::POOL_SEGMENT)),
        ("HSA_AMD_MEMORY_POOL_INFO_GLOBAL_FLAGS", n(sys::POOL_FLAGS)),
        ("HSA_AMD_MEMORY_POOL_INFO_SIZE", n(sys::POOL_SIZE)),
        ("HSA_AMD_MEMORY_POOL_INFO_RUNTIME_ALLOC_ALLOWED", n(sys::POOL_ALLOC_ALLOWED)),
        ("HSA_AMD_MEMORY_POOL_INFO_RUNTIME_ALLOC_GRANULE", n(sys::POOL_GRANULE)),
        ("HSA_AMD_SEGMENT_GLOBAL", n(sys::SEGMENT_GLOBAL)),
        ("HSA_AMD_MEMORY_POOL_GLOBAL_FLAG_KERNARG_INIT", n(sys::FLAG_KERNARG)),
        ("HSA_AMD_MEMORY_POOL_GLOBAL_FLAG_FINE_GRAINED", n(sys::FLAG_FINE)),
        ("HSA_AMD_MEMORY_POOL_GLOBAL_FLAG_COARSE_GRAINED", n(sys::FLAG_COARSE)),
        ("HSA_AMD_AGENT_MEMORY_POOL_INFO_ACCESS", n(sys::AGENT_POOL_ACCESS)),
        ("HSA_AMD_MEMORY_POOL_ACCESS_NEVER_ALLOWED", n(sys::ACCESS_NEVER)),
        ("HSA_QUEUE_TYPE_SINGLE", n(sys::QUEUE_SINGLE)),
        ("HSA_SIGNAL_CONDITION_LT", n(sys::CONDITION_LT)),
        ("HSA_WAIT_STATE_BLOCKED", n(sys::WAIT_BLOCKED)),
        ("HSA_PROFILE_FULL", n(sys::PROFILE_FULL)),
        ("HSA_DEFAULT_FLOAT_ROUNDING_MODE_DEFAULT", n(sys::ROUNDING_DEFAULT)),
        ("HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_OBJECT", n(sys::SYMBOL_KERNEL_OBJECT)),
        ("HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_KERNARG_SEGMENT_SIZE", n(sys::SYMBOL_KERNARG_BYTES)),
        ("HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_GROUP_SEGMENT_SIZE", n(sys::SYMBOL_GROUP_BYTES)),
        ("HSA_EXECUTABLE_SYMBOL_INFO_KERNEL_PRIVATE_SEGMENT_SIZE", n(sys::SYMBOL_PRIVATE_BYTES)),
        ("HSA_AMD_GPU_MEMORY_FAULT_EVENT", n(sys::EVENT_MEMORY_FAULT)),
    ]
}

#[test]
fn declarations_are_those_of_the_headers() {
    let expected = expected();
    let mut source = String::from(
        "#include <stddef.h>\n#include <stdio.h>\n#include <hsa/hsa.h>\n#include <hsa/hsa_ext_amd.h>\nint main(void) {\n",
    );
    for (expression, _) in &expected {
        source += &format!("    printf(\"%llu\\n\", (unsigned long long)({expression}));\n");
    }
    // Every function that we require is declared there; sizeof of a call's type does not link it.
    for name in sys::REQUIRED {
        source += &format!("    (void)sizeof(&{name});\n");
    }
    source += "    return 0;\n}\n";
    let folder = std::env::temp_dir().join(format!("clef-hsa-headers-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (file, program) = (folder.join("layout.c"), folder.join("layout"));
    std::fs::write(&file, source).unwrap();
    let built = Command::new("cc").arg(&file).arg("-o").arg(&program).output().unwrap();
    let errors = String::from_utf8_lossy(&built.stderr).into_owned();
    assert!(built.status.success(), "(hsa.h: apt-get install libhsa-runtime-dev) {errors}");
    let output = Command::new(&program).output().unwrap();
    let _ = std::fs::remove_dir_all(&folder);
    let found = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(found.lines().count(), expected.len());
    for ((expression, value), line) in expected.iter().zip(found.lines()) {
        assert_eq!(line, value.to_string(), "{expression}");
    }
}
