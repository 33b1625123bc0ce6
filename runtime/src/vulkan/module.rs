//! What a kernel's SPIR-V asks of a device: capabilities, the size of its workgroups, their memory.
//!
//! A driver need not refuse what its device cannot do, so a module is looked at before it gets one. The answer is a
//! sentence for the user; nothing is changed in the module.

use super::Device;
use std::collections::HashMap;

/// What a module declares.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Numbers of `OpCapability`, in order.
    pub capabilities: Vec<u32>,
    /// Work-items of a workgroup in x, y, z.
    pub local: [u32; 3],
    /// Bytes of variables that a workgroup shares.
    pub shared: u64,
}

/// Instructions and words of SPIR-V that are looked at.
mod op {
    pub const EXECUTION_MODE: u32 = 16;
    pub const CAPABILITY: u32 = 17;
    pub const TYPE_BOOL: u32 = 20;
    pub const TYPE_INT: u32 = 21;
    pub const TYPE_FLOAT: u32 = 22;
    pub const TYPE_VECTOR: u32 = 23;
    pub const TYPE_ARRAY: u32 = 28;
    pub const TYPE_STRUCT: u32 = 30;
    pub const TYPE_POINTER: u32 = 32;
    pub const CONSTANT: u32 = 43;
    pub const FUNCTION: u32 = 54;
    pub const VARIABLE: u32 = 59;
    /// A mode of execution.
    pub const LOCAL_SIZE: u32 = 17;
    /// A storage class.
    pub const WORKGROUP: u32 = 4;
}

impl Needs {
    /// Reads a module up to its first function. What is malformed counts for nothing: the driver sees it too.
    pub fn of(code: &[u32]) -> Self {
        let mut needs = Self::default();
        let mut sizes: HashMap<u32, u64> = HashMap::new();
        let mut constants: HashMap<u32, u64> = HashMap::new();
        let mut pointees: HashMap<u32, u32> = HashMap::new();
        let mut rest = code.get(5..).unwrap_or_default();
        let bytes_of = |bits: u32| u64::from(bits / 8);
        while let Some(&first) = rest.first() {
            let length = (first >> 16) as usize;
            let Some(words) = rest.get(1..length.max(1)) else { break };
            if length == 0 || first & 0xffff == op::FUNCTION {
                break;
            }
            let size = |id: &u32| sizes.get(id).copied().unwrap_or(0);
            match (first & 0xffff, words) {
                (op::CAPABILITY, &[capability]) => needs.capabilities.push(capability),
                (op::EXECUTION_MODE, &[_, op::LOCAL_SIZE, x, y, z]) => needs.local = [x, y, z],
                (op::TYPE_BOOL, &[id]) => {
                    sizes.insert(id, 4);
                }
                (op::TYPE_INT | op::TYPE_FLOAT, &[id, bits, ..]) => {
                    sizes.insert(id, bytes_of(bits));
                }
                (op::CONSTANT, &[_, id, value, ..]) => {
                    constants.insert(id, u64::from(value));
                }
                (op::TYPE_VECTOR, &[id, of, count]) => {
                    let all = size(&of) * u64::from(count);
                    sizes.insert(id, all);
                }
                (op::TYPE_ARRAY, &[id, of, count]) => {
                    let count = constants.get(&count).copied().unwrap_or(0);
                    let all = size(&of).saturating_mul(count);
                    sizes.insert(id, all);
                }
                (op::TYPE_STRUCT, &[id, ref members @ ..]) => {
                    let all = members.iter().map(size).sum();
                    sizes.insert(id, all);
                }
                (op::TYPE_POINTER, &[id, _, to]) => {
                    pointees.insert(id, to);
                }
                (op::VARIABLE, &[ty, _, op::WORKGROUP, ..]) => {
                    needs.shared += pointees.get(&ty).map_or(0, size);
                }
                _ => {}
            }
            rest = &rest[length..];
        }
        needs
    }

    /// Why the device cannot run the module, if it cannot.
    pub fn refused(&self, device: &Device) -> Option<String> {
        let (limits, name) = (&device.limits, &device.name);
        if let Some(what) = self.capabilities.iter().find_map(|c| lacking(*c, device)) {
            return Some(format!("it needs {what}, and the Vulkan device `{name}` has none"));
        }
        let items: u64 = self.local.iter().map(|n| u64::from(*n)).product();
        let [x, y, z] = self.local;
        let too_long = self.local.iter().zip(limits.size).any(|(wanted, most)| *wanted > most);
        if too_long || items > u64::from(limits.invocations) {
            let [a, b, c] = limits.size;
            return Some(format!(
                "its workgroups have {items} work-items ({x} x {y} x {z}); the Vulkan device `{name}` allows {} \
                 (at most {a}, {b} and {c} along each dimension)",
                limits.invocations
            ));
        }
        if self.shared > u64::from(limits.shared) {
            return Some(format!(
                "its workgroup arrays take {} bytes; the Vulkan device `{name}` has {} for a workgroup",
                self.shared, limits.shared
            ));
        }
        None
    }
}

/// What a capability stands for, if the device lacks it.
fn lacking(capability: u32, device: &Device) -> Option<&'static str> {
    let can = &device.can;
    let (has, what) = match capability {
        9 => (can.float16, "arithmetic on 16-bit floating-point numbers"),
        10 => (can.float64, "arithmetic on 64-bit floating-point numbers"),
        22 => (can.int16, "arithmetic on 16-bit integers"),
        39 => (can.int8, "arithmetic on 8-bit integers"),
        4433 => (can.storage16, "buffers of 16-bit elements"),
        4448 => (can.storage8, "buffers of 8-bit elements"),
        61 => (can.groups, "subgroup operations"),
        63 => (can.groups_add, "sums and scans over subgroups"),
        65 => (can.groups_shuffle, "shuffles in subgroups"),
        6022 => (
            device.tiles,
            "matrix instructions for 16 x 16 pieces by 32 work-items (where `Tile.offered ()` is false)",
        ),
        _ => return None,
    };
    (!has).then_some(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[(u32, &[u32])]) -> Vec<u32> {
        let mut out = vec![0x0723_0203, 0x0001_0500, 0, 100, 0];
        for (code, operands) in list {
            out.push((operands.len() as u32 + 1) << 16 | code);
            out.extend_from_slice(operands);
        }
        out
    }

    #[test]
    fn size_and_memory_of_workgroups_are_read() {
        let module = words(&[
            (op::CAPABILITY, &[1]),
            (op::CAPABILITY, &[10]),
            (op::EXECUTION_MODE, &[7, op::LOCAL_SIZE, 64, 2, 1]),
            (op::TYPE_FLOAT, &[20, 64]),
            (op::TYPE_INT, &[21, 32, 0]),
            (op::CONSTANT, &[21, 22, 1000]),
            (op::TYPE_ARRAY, &[23, 20, 22]),
            (op::TYPE_STRUCT, &[24, 23, 21]),
            (op::TYPE_POINTER, &[25, op::WORKGROUP, 24]),
            (op::VARIABLE, &[25, 26, op::WORKGROUP]),
            (op::VARIABLE, &[25, 27, 7]),
            (op::FUNCTION, &[1, 2, 0, 3]),
            (op::CAPABILITY, &[9]),
        ]);
        let needs = Needs::of(&module);
        assert_eq!(needs, Needs { capabilities: vec![1, 10], local: [64, 2, 1], shared: 8004 });
    }

    #[test]
    fn what_is_cut_off_is_no_panic() {
        let module = words(&[(op::CAPABILITY, &[1]), (op::TYPE_STRUCT, &[24, 23, 21])]);
        for length in 0..module.len() {
            Needs::of(&module[..length]);
        }
        assert_eq!(Needs::of(&[0, 0, 0, 0, 0, 0, 0]), Needs::default());
    }
}
