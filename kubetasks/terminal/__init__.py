"""The terminal: reports, equivalent commands, interruptions, and the programs, locks and waits behind them."""
