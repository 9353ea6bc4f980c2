"""The parts of tools/bench; tests/test_tcp.py uses the wires and the stack's program too."""
