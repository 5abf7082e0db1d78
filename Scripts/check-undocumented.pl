#!/usr/bin/env perl
# Prints the public symbols of the given symbol graphs that have no documentation of their own or inherited, and exits
# with 1 if there are any. What the compiler makes ($projections, synthesized members) is left out.
use strict;
use warnings;
use JSON::PP;

my $found = 0;
for my $path (@ARGV) {
    open my $file, '<:raw', $path or die "$path: $!\n";
    my $graph = decode_json(do { local $/; <$file> });
    for my $symbol (@{ $graph->{symbols} }) {
        next unless $symbol->{accessLevel} =~ /^(public|open)$/;
        next if $symbol->{docComment} || $symbol->{kind}{identifier} eq 'swift.extension';
        next if $symbol->{identifier}{precise} =~ /::SYNTHESIZED::/ || $symbol->{pathComponents}[-1] =~ /^\$/;
        my $place = ($symbol->{location}{uri} // $path) =~ s{^file://}{}r;
        my $line = ($symbol->{location}{position}{line} // 0) + 1;
        print "$place:$line: ", join('.', @{ $symbol->{pathComponents} }), " has no documentation\n";
        $found = 1;
    }
}
exit $found;
