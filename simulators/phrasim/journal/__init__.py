"""The record of a run and what is derived from it: the trace on disk, diagrams, sequences and conformance."""
