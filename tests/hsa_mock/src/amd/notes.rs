//! Metadata of code objects: MessagePack, as LLVM's AMDGPU usage guide has it for code object version 5.

/// An argument in the kernel argument segment.
pub struct Argument {
    pub offset: usize,
    pub size: usize,
    /// `by_value`, `hidden_block_count_x`, ...
    pub kind: String,
}

pub struct Kernel {
    pub symbol: String,
    pub kernarg_bytes: u32,
    pub group_bytes: u32,
    pub private_bytes: u32,
    /// Work-items of a workgroup, where the kernel asks for so many.
    pub workgroup: Option<[u64; 3]>,
    pub arguments: Vec<Argument>,
}

/// The kernels that metadata lists.
pub fn kernels(bytes: &[u8]) -> Option<Vec<Kernel>> {
    let mut reader = Reader(bytes);
    let root = reader.value()?;
    root.get("amdhsa.kernels")?.list()?.iter().map(kernel).collect()
}

fn kernel(value: &Value) -> Option<Kernel> {
    let word = |name: &str| value.get(name)?.number()?.try_into().ok();
    let workgroup = match value.get(".reqd_workgroup_size") {
        Some(list) => {
            let list: Option<Vec<u64>> = list.list()?.iter().map(Value::number).collect();
            Some(list?.try_into().ok()?)
        }
        None => None,
    };
    let arguments = value.get(".args").and_then(Value::list).unwrap_or_default().iter().map(|argument| {
        Some(Argument {
            offset: argument.get(".offset")?.number()? as usize,
            size: argument.get(".size")?.number()? as usize,
            kind: argument.get(".value_kind")?.text()?.to_owned(),
        })
    });
    Some(Kernel {
        symbol: value.get(".symbol")?.text()?.to_owned(),
        kernarg_bytes: word(".kernarg_segment_size")?,
        group_bytes: word(".group_segment_fixed_size")?,
        private_bytes: word(".private_segment_fixed_size")?,
        workgroup,
        arguments: arguments.collect::<Option<_>>()?,
    })
}

enum Value {
    Number(u64),
    Text(String),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Other,
}

impl Value {
    fn get(&self, name: &str) -> Option<&Value> {
        let Value::Map(fields) = self else { return None };
        fields.iter().find(|(key, _)| key.text() == Some(name)).map(|(_, value)| value)
    }

    fn list(&self) -> Option<&[Value]> {
        if let Value::List(list) = self { Some(list) } else { None }
    }

    fn number(&self) -> Option<u64> {
        if let Value::Number(n) = self { Some(*n) } else { None }
    }

    fn text(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take(&mut self, n: usize) -> Option<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    /// A big-endian number of so many bytes.
    fn word(&mut self, n: usize) -> Option<u64> {
        Some(self.take(n)?.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)))
    }

    fn value(&mut self) -> Option<Value> {
        let first = self.word(1)? as u8;
        Some(match first {
            0..=0x7f => Value::Number(first.into()),
            0x80..=0x8f => self.map((first & 0xf).into())?,
            0x90..=0x9f => self.list((first & 0xf).into())?,
            0xa0..=0xbf => self.text((first & 0x1f).into())?,
            0xc0 => Value::Other,
            0xc2 | 0xc3 => Value::Number(u64::from(first & 1)),
            0xcc..=0xcf => Value::Number(self.word(1 << (first - 0xcc))?),
            0xd9..=0xdb => {
                let n = self.word(1 << (first - 0xd9))?;
                self.text(n)?
            }
            0xdc | 0xdd => {
                let n = self.word(2 << (first - 0xdc))?;
                self.list(n)?
            }
            0xde | 0xdf => {
                let n = self.word(2 << (first - 0xde))?;
                self.map(n)?
            }
            _ => return None,
        })
    }

    fn text(&mut self, n: u64) -> Option<Value> {
        Some(Value::Text(String::from_utf8_lossy(self.take(n as usize)?).into_owned()))
    }

    fn list(&mut self, n: u64) -> Option<Value> {
        (0..n).map(|_| self.value()).collect::<Option<_>>().map(Value::List)
    }

    fn map(&mut self, n: u64) -> Option<Value> {
        (0..n).map(|_| Some((self.value()?, self.value()?))).collect::<Option<_>>().map(Value::Map)
    }
}
