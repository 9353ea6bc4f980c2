"""The parts of tools/soak: policy versions that answers can be told by, sessions that know what is right, load, and what is looked at behind them."""
