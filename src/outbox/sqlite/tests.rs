//! What the file promises beyond the operations: that it is ours, whole, alone, and keeps no text of what is delivered.
