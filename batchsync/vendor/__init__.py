"""The vendor's client. Knows no ledger; every answer becomes one of the reply types in `port`."""

API_URL = "https://api.magichour.ai"
