//! The file and the model give the same answers to the same questions.
