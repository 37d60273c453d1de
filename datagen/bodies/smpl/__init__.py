"""The SMPL body model: its files, mesh, joints and texture map."""
