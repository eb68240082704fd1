"""Bad-OOD: representation diffusion, minority guidance, MAGE (its Sections 3.2, 3.3, app. F)."""
