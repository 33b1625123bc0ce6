//! Values of the interpreter.

use crate::id::FuncId;
use std::cell::RefCell;
use std::rc::Rc;

#[derive(Clone, Debug)]
pub enum Value {
    Unit,
    Bool(bool),
    Char(char),
    /// Any integer type: the bits, sign-extended from the type's width.
    Int(i64),
    /// Any float type, exactly.
    Float(f64),
    Text(Rc<str>),
    Agg(Rc<Cell>),
    Array(Rc<RefCell<Vec<Value>>>),
    Closure(Rc<Closure>),
}

/// A value of an aggregate type.
#[derive(Debug)]
pub struct Cell {
    pub case: u32,
    pub fields: RefCell<Vec<Value>>,
}

#[derive(Debug)]
pub struct Closure {
    pub func: FuncId,
    pub captures: Vec<Value>,
}

impl Drop for Cell {
    /// Long lists are taken apart in a loop: recursion would be as deep as the list is long.
    fn drop(&mut self) {
        let mut open = std::mem::take(self.fields.get_mut());
        while let Some(value) = open.pop() {
            if let Value::Agg(cell) = value
                && let Ok(mut cell) = Rc::try_unwrap(cell)
            {
                open.append(cell.fields.get_mut());
            }
        }
    }
}

impl Value {
    pub fn agg(case: u32, fields: Vec<Value>) -> Self {
        Value::Agg(Rc::new(Cell { case, fields: RefCell::new(fields) }))
    }

    pub fn array(items: Vec<Value>) -> Self {
        Value::Array(Rc::new(RefCell::new(items)))
    }

    pub fn text(text: &str) -> Self {
        Value::Text(Rc::from(text))
    }

    /// The integer; 0 for anything else, which the verifier rules out.
    pub fn int(&self) -> i64 {
        match self {
            Value::Int(i) => *i,
            Value::Char(c) => i64::from(u32::from(*c)),
            Value::Bool(b) => i64::from(*b),
            _ => 0,
        }
    }

    pub fn float(&self) -> f64 {
        if let Value::Float(f) = self { *f } else { 0.0 }
    }

    pub fn bool(&self) -> bool {
        matches!(self, Value::Bool(true))
    }
}
