// A static glibc Swift executable aborts before main when /proc is missing, which is how PID 1 finds the world.
// Linking this module mounts /proc in a constructor, before the Swift runtime starts. It has no interface to call
// but this marker, whose use keeps the linker from leaving the object out.
#pragma once
void cearlyinit_link(void);
