"""Prediction of folders by many processes or machines."""
