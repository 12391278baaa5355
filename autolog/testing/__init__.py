"""What tests of integrations need, ours and third parties' alike."""
