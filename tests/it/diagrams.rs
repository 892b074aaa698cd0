//! A picture is what its source says: each source in `diagrams/` has an SVG that was made from just that text.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("diagrams")
}

fn with_extension(extension: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    found.sort();
    found
}

#[test]
fn every_picture_is_rendered_from_its_source() {
    let sources = with_extension("dot");
    assert!(sources.len() >= 3, "{sources:?}");
    for source in &sources {
        let hash = Sha256::digest(std::fs::read(source).unwrap());
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let svg = std::fs::read_to_string(source.with_extension("svg")).unwrap_or_default();
        assert!(
            svg.contains(&format!("<!-- source-sha256: {hash} -->")),
            "{}: run diagrams/render",
            source.display()
        );
    }
    let pictures: Vec<PathBuf> = with_extension("svg")
        .into_iter()
        .map(|picture| picture.with_extension("dot"))
        .collect();
    assert_eq!(pictures, sources, "a picture without a source");
}

#[test]
fn every_module_named_exists() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let layers = [
        "http/",
        "inbound/",
        "dispatch/",
        "outbox/",
        "backends/",
        "domain/",
        "telemetry/",
    ];
    let mut documents = with_extension("dot");
    documents.push(folder().join("ARCHITECTURE.md"));
    for document in documents {
        let text = std::fs::read_to_string(&document).unwrap();
        let modules = text
            .split(|c: char| !(c.is_ascii_lowercase() || c == '_' || c == '/'))
            // `backends/` alone stands for any of them.
            .filter(|word| layers.iter().any(|l| word.starts_with(l) && word != l));
        for module in modules {
            let module = module.trim_end_matches('/');
            let file = source.join(format!("{module}.rs"));
            let folder = source.join(module).join("mod.rs");
            assert!(
                file.exists() || folder.exists(),
                "{}: there is no module {module}",
                document.display()
            );
        }
    }
}

#[test]
fn every_picture_is_shown() {
    let text = std::fs::read_to_string(folder().join("ARCHITECTURE.md")).unwrap();
    for picture in with_extension("svg") {
        let name = picture.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(text.contains(&format!("]({name})")), "{name}");
    }
}
