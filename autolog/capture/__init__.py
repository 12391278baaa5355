"""Ties what the engine sees to runs: who owns a training, and which integrations are on."""
