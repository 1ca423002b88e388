"""What a person sees and types: reports, commands that do the same, interruptions; programs, locks and waits behind them."""
