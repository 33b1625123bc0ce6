//! The voice assistant: without the libraries its bindings, handoffs and messages; with them, spoken questions.
//!
//! What needs llama.cpp and whisper.cpp runs where `examples/voice_assistant/build.sh` has made them (its cache,
//! `$CLEF_VOICE_CACHE`) and espeak-ng and sox are installed; elsewhere these trials count as ignored.

use crate::trial;
use clef_tests::{Done, Scratch, clefc, root, run, same};
use libtest_mimic::Trial;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const EXAMPLE: &str = "examples/voice_assistant";

/// What is asked, and a word of the answer.
const QUESTIONS: &[(&str, &str)] = &[
    ("What is the capital of France?", "Paris"),
    ("What is the capital of Italy?", "Rome"),
    ("What is the capital of Germany?", "Berlin"),
    ("What is the capital of Japan?", "Tokyo"),
    ("What is the capital of England?", "London"),
];

pub fn trials() -> Vec<Trial> {
    let missing = !is_complete();
    vec![
        trial("voice/handoffs_are_the_same_without_markers", handoffs),
        trial("voice/missing_library_is_named", missing_library),
        trial("voice/bindings_are_those_of_the_headers", bindings).with_ignored_flag(missing),
        trial("voice/five_questions", five_questions).with_ignored_flag(missing),
        trial("voice/bad_input", bad_input).with_ignored_flag(missing),
    ]
}

fn cache() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    variable("CLEF_VOICE_CACHE").unwrap_or_else(|| {
        let usual = variable("HOME").unwrap_or_default().join(".cache");
        variable("XDG_CACHE_HOME").unwrap_or(usual).join("clefc/voice")
    })
}

fn is_complete() -> bool {
    let files = ["lib/libllama.so", "lib/libwhisper.so", "whisper-tiny.en.bin", "smollm2-135m-instruct.gguf"];
    let starts = |program: &str| Command::new(program).arg("--version").output().is_ok();
    files.iter().all(|f| cache().join(f).is_file()) && starts("espeak-ng") && starts("sox")
}

fn ok(command: &mut Command) -> Result<String, String> {
    let done = run(command, "")?;
    if done.code == 0 {
        Ok(done.stdout)
    } else {
        Err(format!("{command:?}: exit code {}\n{}", done.code, done.stderr))
    }
}

/// The plan, with the markers and without: everything in it but where things stand.
fn handoffs() -> Result<(), String> {
    let folder = Scratch::new();
    for entry in fs::read_dir(root().join(EXAMPLE)).map_err(|e| e.to_string())?.flatten() {
        let path = entry.path();
        if !path.extension().is_some_and(|e| e == "clef" || e == "fidproj") {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(|e| e.to_string())?;
        // Their lines become empty: places stay.
        let lines =
            text.lines().map(|l| if l.trim_start().starts_with("signalCompletion ") { "" } else { l });
        let without = lines.collect::<Vec<_>>().join("\n") + "\n";
        folder.file(&path.file_name().unwrap_or_default().to_string_lossy(), &without);
    }
    let fences = |path: &Path| ok(Command::new(clefc()).arg("fences").arg(path));
    let plan = fences(&root().join(EXAMPLE))?;
    // Behind the handoffs the markers themselves are listed.
    let handoffs = |plan: &str| plan.split("\nMarkers").next().unwrap_or_default().trim_end().to_owned();
    same("the plan without markers", &handoffs(&plan), &handoffs(&fences(&folder.0)?))?;
    let needed = [
        "AudioInput  w->r  CPU -> NPU",
        "what whisper_init_from_file returned  w->r  CPU -> NPU",
        "what whisper_init_from_file returned  w->r  NPU -> CPU",
        "LLMContext  w->r  CPU -> GPU0.0",
        "w->r  GPU0.0 -> CPU",
        "extern llama_decode",
    ];
    match needed.iter().find(|n| !plan.contains(**n)) {
        Some(missing) => Err(format!("`{missing}` is not in the plan:\n{plan}")),
        None => Ok(()),
    }
}

fn missing_library() -> Result<(), String> {
    let folder = Scratch::new();
    let mut command = Command::new(clefc());
    command.arg("build").arg(root().join(EXAMPLE)).arg("-o").arg(folder.0.join("voice"));
    // Where pkg-config looks for nothing.
    command.env("PKG_CONFIG_LIBDIR", &folder.0).env_remove("PKG_CONFIG_PATH");
    let done = run(&mut command, "")?;
    let words = ["CLEF0813", "`llama`", "[link.library.llama]", "build.sh"];
    match words.iter().find(|w| !done.stderr.contains(**w)) {
        Some(word) => Err(format!("`{word}` is not in:\n{}", done.stderr)),
        None if done.code == 2 => Ok(()),
        None => Err(format!("exit code {}", done.code)),
    }
}

/// The generated modules of the example are what the headers give.
fn bindings() -> Result<(), String> {
    let folder = Scratch::new();
    for (header, half) in [("llama.h", "LLM"), ("whisper.h", "Speech")] {
        let native = root().join("stdlib/Fidelity").join(half).join("Native.clef");
        let include = cache().join("include");
        let (made, assertions) = (folder.0.join(half), folder.0.join("assertions.c"));
        let mut command = Command::new(clefc());
        command.arg("bindgen").arg(include.join(header)).arg("-I").arg(&include).arg("-o").arg(&made);
        command.arg("--config").arg(native.with_extension("toml")).arg("--assertions").arg(&assertions);
        ok(&mut command)?;
        let read = |path: &Path| fs::read_to_string(path).map_err(|e| e.to_string());
        same(half, &read(&native)?, &read(&made)?)?;
        let mut command = Command::new("cc");
        command.args(["-w", "-c", "-o", "/dev/null", "-I"]).arg(&include).arg(&assertions);
        ok(&mut command)?;
    }
    Ok(())
}

struct Assistant {
    folder: Scratch,
    program: PathBuf,
}

impl Assistant {
    fn build() -> Result<Self, String> {
        let folder = Scratch::new();
        let program = folder.0.join("voice");
        let mut command = Command::new(clefc());
        command.arg("build").arg(root().join(EXAMPLE)).arg("-o").arg(&program);
        ok(command.env("PKG_CONFIG_PATH", cache().join("lib/pkgconfig")))?;
        Ok(Self { folder, program })
    }

    fn speak(&self, text: &str) -> Result<PathBuf, String> {
        let (raw, sound) = (self.folder.0.join("raw.wav"), self.folder.0.join("sound.wav"));
        ok(Command::new("espeak-ng").args(["-v", "en-us", "-s", "140", "-w"]).arg(&raw).arg(text))?;
        ok(Command::new("sox").arg(&raw).args(["-r", "16000", "-c", "1", "-b", "16"]).arg(&sound))?;
        Ok(sound)
    }

    fn ask(&self, sound: &Path, speech: &Path, language: &Path) -> Result<Done, String> {
        let mut command = Command::new(&self.program);
        command.arg(sound).arg(speech).arg(language).env("CLEF_DEBUG_LEAKS", "1");
        run(&mut command, "")
    }
}

fn models() -> (PathBuf, PathBuf) {
    (cache().join("whisper-tiny.en.bin"), cache().join("smollm2-135m-instruct.gguf"))
}

fn five_questions() -> Result<(), String> {
    let assistant = Assistant::build()?;
    let (speech, language) = models();
    for (question, word) in QUESTIONS {
        let done = assistant.ask(&assistant.speak(question)?, &speech, &language)?;
        let mut lines = done.stdout.lines();
        same("what was heard", &format!("heard: {question}"), lines.next().unwrap_or_default())?;
        if done.code != 0 || !lines.any(|l| l.contains(word)) {
            return Err(format!("{question}: exit code {}\n{}{}", done.code, done.stdout, done.stderr));
        }
    }
    Ok(())
}

fn bad_input() -> Result<(), String> {
    let assistant = Assistant::build()?;
    let (speech, language) = models();
    let sound = assistant.speak(QUESTIONS[0].0)?;
    let cut = |path: &Path, name: &str| -> Result<PathBuf, String> {
        let bytes = fs::read(path).map_err(|e| e.to_string())?;
        Ok(assistant.folder.file(name, &bytes[..1_000_000]))
    };
    let other = |name: &str, options: &[&str]| -> Result<PathBuf, String> {
        let path = assistant.folder.0.join(name);
        ok(Command::new("sox").args(["-n"]).args(options).arg(&path).args(["trim", "0", "0.5"]))?;
        Ok(path)
    };
    let fast = other("fast.wav", &["-r", "22050", "-c", "1", "-b", "16"])?;
    let stereo = other("stereo.wav", &["-r", "16000", "-c", "2", "-b", "16"])?;
    let mut header = fs::read(&sound).map_err(|e| e.to_string())?;
    header.truncate(44);
    let empty = assistant.folder.file("empty.wav", header);
    let nothing = assistant.folder.0.join("nothing");
    let cases: [(&Path, &Path, &Path, &str); 9] = [
        (&nothing, &speech, &language, "cannot read the sound"),
        (&fast, &speech, &language, "22050 samples a second"),
        (&stereo, &speech, &language, "one channel"),
        (&empty, &speech, &language, "is empty"),
        (&language, &speech, &language, "is no WAV file"),
        (&sound, &nothing, &language, "cannot load the speech model"),
        (&sound, &cut(&speech, "short.bin")?, &language, "cannot load the speech model"),
        (&sound, &language, &speech, "cannot load the speech model"),
        (&sound, &speech, &cut(&language, "short.gguf")?, "cannot load the language model"),
    ];
    for (sound, speech, language, words) in cases {
        let done = assistant.ask(sound, speech, language)?;
        if done.code != 2 || !done.stderr.contains(words) || done.stderr.contains("leak: ") {
            return Err(format!("`{words}`: exit code {}\n{}{}", done.code, done.stdout, done.stderr));
        }
    }
    // The models are good, the context is not.
    for (tokens, words) in [("70", "a context of 70 tokens is too small"), ("none", "is no number of tokens")]
    {
        let mut command = Command::new(&assistant.program);
        command.arg(&sound).arg(&speech).arg(&language).arg(tokens).env("CLEF_DEBUG_LEAKS", "1");
        let done = run(&mut command, "")?;
        if done.code != 2 || !done.stderr.contains(words) || done.stderr.contains("leak: ") {
            return Err(format!("`{words}`: exit code {}\n{}{}", done.code, done.stdout, done.stderr));
        }
    }
    Ok(())
}
