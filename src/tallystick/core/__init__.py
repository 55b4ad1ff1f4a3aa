"""What every room stands on and that holds no rule of the business: money, ids, clock, errors, settings, database."""
