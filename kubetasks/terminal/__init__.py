"""What a person sees and types: reports, equivalent commands, interruptions; and the programs, locks and waits behind them."""
