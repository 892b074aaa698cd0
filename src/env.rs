//! The environment as a value. A leaf: modules declare their variables as [`Var`]s, read them through a
//! [`Reader`], and every fault is collected, so that an operator mends them all in one go.
//!
//! A secret `X` may stand in the file that `X_FILE` names. An empty variable is an unset one.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use envconfig::Envconfig;

mod files;

pub use files::Files;

/// One variable: the parser, the README and `--help` read the same list.
#[derive(Debug, Clone, Copy)]
pub struct Var {
    /// Its name.
    pub name: &'static str,
    /// What holds when it is not set, as the README shows it; empty is "not set".
    pub default: &'static str,
    /// Whether the value is a credential: it may come from a file and is never shown.
    pub secret: bool,
    /// One line for the README.
    pub doc: &'static str,
}

/// The variables of this process, files read in, and its limit of open files.
#[derive(Debug, Default)]
pub struct Env {
    values: HashMap<String, String>,
    /// Names whose values are not UTF-8: not text, and not unset either.
    unreadable: Vec<String>,
    files: Files,
}

/// What is wrong with the configuration: one line each, never a secret's value.
#[derive(Debug, Default)]
pub struct Faults(Vec<String>);

/// Reads variables and collects what is wrong with them.
pub struct Reader<'a> {
    env: &'a Env,
    faults: Faults,
}

impl Env {
    /// The environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let mut env = Self {
            files: Files::of_process(),
            ..Self::default()
        };
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else {
                continue;
            };
            match value.into_string() {
                Ok(value) => drop(env.values.insert(name, value)),
                Err(_) => env.unreadable.push(name),
            }
        }
        env
    }

    /// An environment made by hand, without a limit.
    #[must_use]
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        Self {
            values: pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            ..Self::default()
        }
    }

    /// How many files may be open.
    #[must_use]
    pub fn files(&self) -> Files {
        self.files
    }

    /// Drops empty variables and reads the file of every `X_FILE` whose `X` is a secret of `vars`.
    pub fn settle<'v>(&mut self, vars: impl Iterator<Item = &'v Var>, faults: &mut Faults) {
        self.values.retain(|_, value| !value.trim().is_empty());
        for var in vars {
            let file = format!("{}_FILE", var.name);
            for name in [var.name, &file] {
                if self.unreadable.iter().any(|known| known == name) {
                    faults.push(name, "the value is not UTF-8 text");
                }
            }
            if !var.secret {
                continue;
            }
            let Some(path) = self.values.remove(&file) else {
                continue;
            };
            if self.values.contains_key(var.name) {
                faults.push(
                    var.name,
                    format_args!("both {0} and {0}_FILE are set; keep one", var.name),
                );
                continue;
            }
            match read_secret(Path::new(&path)) {
                Ok(value) => {
                    self.values.insert(var.name.to_owned(), value);
                }
                Err(fault) => faults.push(&file, fault),
            }
        }
    }

    /// Takes variables out that mean nothing for what is to be done, so that a fault in them is none.
    pub fn forget<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        for name in names {
            self.values.remove(name);
            self.values.remove(&format!("{name}_FILE"));
            self.unreadable
                .retain(|known| known.strip_suffix("_FILE").unwrap_or(known) != name);
        }
    }

    /// Whether a variable is set and not empty, before and after the files were read in.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|value| !value.is_empty())
    }

    /// Whether a variable has exactly this value.
    #[must_use]
    pub fn is(&self, name: &str, value: &str) -> bool {
        self.values.get(name).is_some_and(|known| known == value)
    }

    /// Whether a variable is set.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }
}

/// The most a secret's file may hold.
const MAX_SECRET_FILE_BYTES: u64 = 64 * 1024;

/// What a file holds; `None` if that is more. A device or a pipe has no size beforehand, and perhaps no end.
///
/// # Errors
/// The file cannot be read.
pub fn read_at_most(path: &Path, max_bytes: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    let read = file
        .take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok((read as u64 <= max_bytes).then_some(bytes))
}

fn read_secret(path: &Path) -> Result<String, String> {
    let unreadable = |e: std::io::Error| format!("cannot read the file: {e}");
    let found = std::fs::metadata(path).map_err(unreadable)?;
    let size = found.len();
    // A folder has a size as well, and that is not what is wrong with it.
    if found.is_file() && size > MAX_SECRET_FILE_BYTES {
        return Err(format!(
            "the file has {size} bytes, at most {MAX_SECRET_FILE_BYTES} are read"
        ));
    }
    let bytes = read_at_most(path, MAX_SECRET_FILE_BYTES)
        .map_err(unreadable)?
        .ok_or_else(|| {
            format!("the file has more than the {MAX_SECRET_FILE_BYTES} bytes that are read")
        })?;
    let text = String::from_utf8(bytes)
        .map_err(|_| "cannot read the file: it is not UTF-8 text".to_owned())?;
    let value = text.trim_end_matches(['\r', '\n']);
    if value.trim().is_empty() {
        return Err("the file is empty".to_owned());
    }
    Ok(value.to_owned())
}

impl Faults {
    /// Adds one line: the variable and what to do about it.
    pub fn push(&mut self, variable: &str, what: impl std::fmt::Display) {
        self.push_line(&format!("{variable}: {what}"));
    }

    /// Adds a line that names its variable itself. It stays one line, whatever it quotes.
    pub fn push_line(&mut self, line: &str) {
        let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
        self.0.push(line.replace(breaks, "\u{FFFD}"));
    }

    /// Whether a variable, or the file it is read from, was found wrong.
    fn has(&self, variable: &str) -> bool {
        let is_it = |name: &str| name.strip_suffix("_FILE").unwrap_or(name) == variable;
        let mut names = self.0.iter().filter_map(|line| line.split_once(':'));
        names.any(|(name, _)| is_it(name))
    }

    /// The lines.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

impl<'a> Reader<'a> {
    /// Reads from `env`; `faults` holds what `settle` found.
    #[must_use]
    pub fn new(env: &'a Env, faults: Faults) -> Self {
        Self { env, faults }
    }

    /// A module's variables as a struct of `Option<String>`, which cannot fail: our own types do the parsing.
    #[must_use]
    pub fn vars<T: Envconfig + Default>(&mut self) -> T {
        T::init_from_hashmap(&self.env.values).unwrap_or_else(|e| {
            self.faults
                .push_line(&format!("the variables cannot be read: {e}"));
            T::default()
        })
    }

    /// The value of one variable through `parse`, else the default; a fault is noted and shows no value.
    pub fn value<T, E: std::fmt::Display>(
        &mut self,
        name: &str,
        value: Option<&str>,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> T {
        match value.map(|text| parse(text.trim())) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(fault)) => {
                self.faults.push(name, fault);
                default
            }
        }
    }

    /// Notes a fault.
    pub fn fault(&mut self, variable: &str, what: impl std::fmt::Display) {
        self.faults.push(variable, what);
    }

    /// Notes faults that name their variables themselves.
    pub fn faults(&mut self, lines: Vec<String>) {
        lines.iter().for_each(|line| self.faults.push_line(line));
    }

    /// Whether a variable is set.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.env.has(name)
    }

    /// Whether a variable was found wrong: what depends on it is then not judged.
    #[must_use]
    pub fn is_faulty(&self, variable: &str) -> bool {
        self.faults.has(variable)
    }

    /// Whether a variable is set, or was meant to be by a file that cannot be used: then the file is the one fault.
    #[must_use]
    pub fn is_given(&self, variable: &str) -> bool {
        self.has(variable) || self.is_faulty(variable)
    }

    /// Everything that is wrong.
    #[must_use]
    pub fn finish(self) -> Faults {
        self.faults
    }
}

/// Parses `true` or `false`.
///
/// # Errors
/// A sentence that says so.
pub fn parse_bool(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("expected true or false"),
    }
}

/// Parses `500ms`, `10s`, `5m`, `24h`, `7d`.
///
/// # Errors
/// A sentence that shows the form.
pub fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    const FORM: &str = "expected a duration such as 500ms, 10s, 5m, 24h or 7d";
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| FORM)?;
    let seconds = match unit {
        "ms" => return Ok(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(FORM),
    };
    number
        .checked_mul(seconds)
        .map(Duration::from_secs)
        .ok_or(FORM)
}

/// Parses a number of bytes: `65536`, `64KiB`, `1MiB`.
///
/// # Errors
/// A sentence that shows the form.
pub fn parse_bytes(text: &str) -> Result<usize, &'static str> {
    const FORM: &str = "expected a number of bytes such as 65536, 64KiB or 1MiB";
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: usize = number.parse().map_err(|_| FORM)?;
    let factor = match unit.trim() {
        "" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        _ => return Err(FORM),
    };
    number.checked_mul(factor).filter(|n| *n > 0).ok_or(FORM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_bytes_as_written() {
        for (text, ms) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("24h", 86_400_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(parse_duration(text).unwrap().as_millis(), ms);
        }
        for bad in [
            "",
            "10",
            "s",
            "-1s",
            "1w",
            "1.5s",
            "99999999999999999999d",
            "18446744073709551615d",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_bytes("64KiB"), Ok(65536));
        assert!(parse_bytes("0").is_err() && parse_bytes("1GB").is_err());
    }

    #[test]
    fn a_secret_may_stand_in_a_file() {
        let vars = [Var {
            name: "A_TOKEN",
            default: "",
            secret: true,
            doc: "",
        }];
        let path = std::env::temp_dir().join(format!("env-{}", uuid::Uuid::now_v7()));
        std::fs::write(&path, "from file\n").unwrap();
        let file = path.to_str().unwrap();

        let mut env = Env::of(&[("A_TOKEN_FILE", file)]);
        let mut faults = Faults::default();
        env.settle(vars.iter(), &mut faults);
        assert_eq!(env.values["A_TOKEN"], "from file");

        let mut both = Env::of(&[("A_TOKEN_FILE", file), ("A_TOKEN", "x")]);
        both.settle(vars.iter(), &mut faults);
        let mut missing = Env::of(&[("A_TOKEN_FILE", "/nonexistent")]);
        missing.settle(vars.iter(), &mut faults);
        assert_eq!(faults.lines().len(), 2);
        std::fs::remove_file(path).unwrap();
    }
}
