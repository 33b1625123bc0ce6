//! Names of .NET's library that programs of the F# family use, and what takes their place here.
//!
//! Consulted only where a name was not found, so that a program may define any of them itself.

/// What to write instead of a type, module or member of .NET.
pub fn instead_of(name: &str) -> Option<&'static str> {
    Some(match name {
        "HashSet" | "SortedSet" | "ISet" => {
            "use `Set`, an immutable ordered set: `Set.add x s` gives a new one"
        }
        "Dictionary" | "SortedDictionary" | "IDictionary" | "ConcurrentDictionary" | "Hashtable" => {
            "use `Map`, an immutable ordered map: `Map.add k v m` gives a new one"
        }
        "ResizeArray" | "ArrayList" => "use a `list`, or an array whose size is known (`Array.zeroCreate n`)",
        "Queue" | "Stack" | "LinkedList" | "PriorityQueue" => {
            "use a `list` (its head is its top), two lists for a queue, or a `Set` of (priority, value) pairs"
        }
        "Generic" | "Collections" | "Concurrent" | "Immutable" => {
            "the collections are `list`, arrays, `Map` and `Set`; their functions need no `open`"
        }
        "StringBuilder" => {
            "append to a mutable string with `<-` and `+`, which grows in place, or use `String.concat`"
        }
        "Regex" | "RegularExpressions" => {
            "use `Split`, `Contains` and `IndexOf` of strings, or match their characters"
        }
        "Stopwatch" | "DateTime" | "TimeSpan" | "Diagnostics" => {
            "take `Clock.nanoseconds ()` before and after"
        }
        "Task" | "Async" | "async" | "task" | "Thread" | "Threading" | "Tasks" | "Parallel" => {
            "dispatch a kernel (`CPU.dispatch`, `GPU.dispatch`): dispatches run while the program goes on"
        }
        "Exception" | "exn" | "ArgumentException" | "InvalidOperationException" => {
            "give a `Result` or an `option`, or stop the program with `failwith`"
        }
        "IDisposable" => "give the type a member `Dispose: unit -> unit`: `use` calls it",
        "IEnumerable" | "IEnumerator" => "use `seq<'T>`",
        "IComparable" | "IEquatable" | "LanguagePrimitives" => {
            "records, unions, tuples and collections compare by their parts: `compare`, `=` and `hash` need nothing"
        }
        "obj" | "Object" | "box" | "unbox" => {
            "make the function generic (`'a`), or define a union of what may occur"
        }
        "Func" | "Action" | "Delegate" => "use a function type, such as `int -> string`",
        "Nullable" => "use `option`",
        "Linq" | "Enumerable" => "use the functions of `Seq`, `List` and `Array`",
        "IO" | "Path" | "Directory" | "StreamReader" | "StreamWriter" => {
            "files are read and written with the module `File`"
        }
        "Environment" => "the command line is the parameter of the `[<EntryPoint>]` function",
        "Vector" | "Numerics" | "Complex" => "define a record with operators as static members",
        _ => return None,
    })
}
