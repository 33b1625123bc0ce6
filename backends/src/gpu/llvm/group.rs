//! Subgroup operations, built from shuffles.
//!
//! Work-items of a workgroup are in subgroups in the order of their indices. A reduction takes the values of partners
//! whose numbers differ in one bit, bit after bit; where the last subgroup is not full, the first work-item has the whole
//! result, and gives it to the others.

use super::{Body, llvm_type};

impl Body<'_> {
    pub(super) fn items(&self) -> u32 {
        self.local.iter().product()
    }

    /// This work-item's number in its workgroup.
    fn linear_id(&mut self) -> String {
        let [x, y, z] = self.local;
        let mut id = self.local_id(0);
        for (axis, count, stride) in [(1, y, x), (2, z, x * y)] {
            if count > 1 {
                let along = self.local_id(axis);
                let scaled = self.put(&format!("mul i32 {along}, {stride}"));
                id = self.put(&format!("add i32 {id}, {scaled}"));
            }
        }
        id
    }

    /// Number in the subgroup.
    pub(super) fn lane(&mut self) -> String {
        let id = self.linear_id();
        self.put(&format!("and i32 {id}, {}", self.chip.wave - 1))
    }

    /// The subgroup's number in the workgroup.
    pub(super) fn subgroup(&mut self) -> String {
        let id = self.linear_id();
        self.put(&format!("lshr i32 {id}, {}", self.chip.wave.trailing_zeros()))
    }

    /// Work-items that this subgroup has.
    pub(super) fn subgroup_count(&mut self) -> String {
        let number = self.subgroup();
        let first = self.put(&format!("mul i32 {number}, {}", self.chip.wave));
        let rest = self.put(&format!("sub i32 {}, {first}", self.items()));
        let wave = self.chip.wave.to_string();
        self.call("i32", "llvm.umin.i32", &[("i32", &rest), ("i32", &wave)])
    }

    /// A built-in 32-bit value.
    pub(super) fn builtin(&mut self, symbol: &str) -> Result<String, String> {
        Ok(match symbol {
            "subgroup_size" => self.chip.wave.to_string(),
            "subgroup_lane" => self.lane(),
            "subgroup" => self.subgroup(),
            "subgroups" => self.items().div_ceil(self.chip.wave).to_string(),
            _ => return Err(format!("a built-in value {symbol}")),
        })
    }

    /// The value of another work-item of the subgroup.
    pub(super) fn shuffle(&mut self, value: &str, ty: &str, lane: &str) -> Result<String, String> {
        let (kind, bits) = ty.split_at(1);
        let bits: u32 = bits.parse().map_err(|_| "a shuffle of what is no number")?;
        let llvm = llvm_type(ty)?;
        let mut whole = value.to_owned();
        if kind == "f" {
            whole = self.put(&format!("bitcast {llvm} {value} to i{bits}"));
        }
        let moved = match bits {
            32 => self.shuffle_word(&whole, lane),
            64 => {
                let low = self.put(&format!("trunc i64 {whole} to i32"));
                let high = self.put(&format!("lshr i64 {whole}, 32"));
                let high = self.put(&format!("trunc i64 {high} to i32"));
                let [low, high] = [low, high].map(|word| {
                    let word = self.shuffle_word(&word, lane);
                    self.put(&format!("zext i32 {word} to i64"))
                });
                let high = self.put(&format!("shl i64 {high}, 32"));
                self.put(&format!("or i64 {high}, {low}"))
            }
            _ => {
                let wide = self.put(&format!("zext i{bits} {whole} to i32"));
                let word = self.shuffle_word(&wide, lane);
                self.put(&format!("trunc i32 {word} to i{bits}"))
            }
        };
        Ok(if kind == "f" { self.put(&format!("bitcast i{bits} {moved} to {llvm}")) } else { moved })
    }

    /// `GroupNonUniformFAdd` and its like, over the subgroup.
    pub(super) fn group_operation(&mut self, name: &str, rest: &str) -> Result<String, String> {
        let operation = name.strip_prefix("GroupNonUniform").ok_or("a strange operation")?;
        let rest = rest.strip_prefix("<Subgroup> ").ok_or("a group that is no subgroup")?;
        let (how, rest) = rest.split_once(' ').ok_or("a group operation without a way")?;
        let (value, types) = rest.split_once(" : ").ok_or("no type")?;
        let ty = types.split(" -> ").next().unwrap_or(types).trim();
        let value = self.value(value)?;
        if how == "<InclusiveScan>" {
            self.scan(operation, &value, ty)
        } else {
            self.reduce(operation, &value, ty)
        }
    }

    fn reduce(&mut self, operation: &str, value: &str, ty: &str) -> Result<String, String> {
        let llvm = llvm_type(ty)?;
        let full = self.items() % self.chip.wave == 0;
        let lane = self.lane();
        let count = if full { String::new() } else { self.subgroup_count() };
        let mut total = value.to_owned();
        let mut distance = 1;
        while distance < self.chip.wave && distance < self.items() {
            let partner = self.put(&format!("xor i32 {lane}, {distance}"));
            let other = self.shuffle(&total, ty, &partner)?;
            let both = self.combine(operation, &total, &other, ty)?;
            total = if full {
                both
            } else {
                let present = self.put(&format!("icmp ult i32 {partner}, {count}"));
                self.put(&format!("select i1 {present}, {llvm} {both}, {llvm} {total}"))
            };
            distance *= 2;
        }
        if full { Ok(total) } else { self.shuffle(&total, ty, "0") }
    }

    fn scan(&mut self, operation: &str, value: &str, ty: &str) -> Result<String, String> {
        let llvm = llvm_type(ty)?;
        let lane = self.lane();
        let mut total = value.to_owned();
        let mut distance = 1;
        while distance < self.chip.wave && distance < self.items() {
            let before = self.put(&format!("icmp uge i32 {lane}, {distance}"));
            let partner = self.put(&format!("sub i32 {lane}, {distance}"));
            let partner = self.put(&format!("select i1 {before}, i32 {partner}, i32 {lane}"));
            let other = self.shuffle(&total, ty, &partner)?;
            let both = self.combine(operation, &other, &total, ty)?;
            total = self.put(&format!("select i1 {before}, {llvm} {both}, {llvm} {total}"));
            distance *= 2;
        }
        Ok(total)
    }

    fn combine(&mut self, operation: &str, a: &str, b: &str, ty: &str) -> Result<String, String> {
        let llvm = llvm_type(ty)?;
        let name = match operation {
            "FAdd" => return Ok(self.put(&format!("fadd {llvm} {a}, {b}"))),
            "IAdd" => return Ok(self.put(&format!("add {llvm} {a}, {b}"))),
            "FMin" => "minnum",
            "FMax" => "maxnum",
            "SMin" => "smin",
            "SMax" => "smax",
            "UMin" => "umin",
            "UMax" => "umax",
            _ => return Err(format!("a group operation {operation}")),
        };
        Ok(self.call(&llvm, &format!("llvm.{name}.{ty}"), &[(&llvm, a), (&llvm, b)]))
    }
}
