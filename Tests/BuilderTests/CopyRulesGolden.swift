// What Docker 20.10.24 makes of each: recorded from its classic builder with the context and base of `CopyRulesTests`.
// Columns: type, permissions, owner, size, modification time (`now` after 2008; `-` for what isn't a file), path.

enum CopyRulesGolden {
    struct Case: Sendable, CustomStringConvertible {
        let instructions: String
        let result: [String]
        var description: String { instructions }
    }

    static let cases: [Case] = [
        Case(instructions: "COPY a.txt /", result: ["f 0644 0:0 2 1000000000 /a.txt"]),
        Case(instructions: "COPY a.txt /x", result: ["f 0644 0:0 2 1000000000 /x"]),
        Case(
            instructions: "COPY a.txt /new/",
            result: [
                "d 0755 0:0 0 - /new",
                "f 0644 0:0 2 1000000000 /new/a.txt",
            ]),
        Case(
            instructions: "COPY a.txt /new/deep/x",
            result: [
                "d 0755 0:0 0 - /new",
                "d 0755 0:0 0 - /new/deep",
                "f 0644 0:0 2 1000000000 /new/deep/x",
            ]),
        Case(
            instructions: "COPY a.txt b.txt /new/",
            result: [
                "d 0755 0:0 0 - /new",
                "f 0644 0:0 2 1000000000 /new/a.txt",
                "f 0600 0:0 2 1000000000 /new/b.txt",
            ]),
        Case(
            instructions: "COPY a.txt b.txt /new",
            result: ["ERR When using COPY with more than one source file, the destination must be a directory and end with a /"]),
        Case(
            instructions: "COPY a.txt /etc",
            result: [
                "d 0755 0:0 0 - /etc",
                "f 0644 0:0 2 1000000000 /etc/a.txt",
            ]),
        Case(
            instructions: "COPY a.txt /etc/",
            result: [
                "d 0755 0:0 0 - /etc",
                "f 0644 0:0 2 1000000000 /etc/a.txt",
            ]),
        Case(
            instructions: "COPY *.txt /t/",
            result: [
                "d 0755 0:0 0 - /t",
                "f 0644 0:0 2 1000000000 /t/a.txt",
                "f 0600 0:0 2 1000000000 /t/b.txt",
                "f 0644 0:0 2 1000000000 /t/sp ace.txt",
            ]),
        Case(
            instructions: "COPY *.txt /t",
            result: ["ERR When using COPY with more than one source file, the destination must be a directory and end with a /"]),
        Case(instructions: "COPY a*.txt /t", result: ["f 0644 0:0 2 1000000000 /t"]),
        Case(
            instructions: "COPY ?.txt /q/",
            result: [
                "d 0755 0:0 0 - /q",
                "f 0644 0:0 2 1000000000 /q/a.txt",
                "f 0600 0:0 2 1000000000 /q/b.txt",
            ]),
        Case(
            instructions: "COPY [ab].txt /q/",
            result: [
                "d 0755 0:0 0 - /q",
                "f 0644 0:0 2 1000000000 /q/a.txt",
                "f 0600 0:0 2 1000000000 /q/b.txt",
            ]),
        Case(
            instructions: "COPY */x /q/",
            result: [
                "d 0755 0:0 0 - /q",
                "f 0644 0:0 3 1000000000 /q/x",
            ]),
        Case(
            instructions: "COPY e/* /q/",
            result: [
                "d 0755 0:0 0 - /q",
                "f 0644 0:0 3 1000000000 /q/x",
                "f 0644 0:0 2 1000000000 /q/z.txt",
            ]),
        Case(
            instructions: "COPY d* /q/",
            result: [
                "d 0755 0:0 0 - /q",
                "l 0777 0:0 0 - /q/abs -> /etc/passwd",
                "l 0777 0:0 0 - /q/bad -> nowhere",
                "l 0777 0:0 0 - /q/ln -> x",
                "d 0750 0:0 0 - /q/sub",
                "f 0644 0:0 2 1000000000 /q/sub/y",
                "f 0640 0:0 2 1000000000 /q/x",
            ]),
        Case(
            instructions: "COPY nope* a.txt /q/",
            result: [
                "d 0755 0:0 0 - /q",
                "f 0644 0:0 2 1000000000 /q/a.txt",
            ]),
        Case(
            instructions: "COPY d /",
            result: [
                "l 0777 0:0 0 - /abs -> /etc/passwd",
                "l 0777 0:0 0 - /bad -> nowhere",
                "l 0777 0:0 0 - /ln -> x",
                "d 0750 0:0 0 - /sub",
                "f 0644 0:0 2 1000000000 /sub/y",
                "f 0640 0:0 2 1000000000 /x",
            ]),
        Case(
            instructions: "COPY d /nd",
            result: [
                "d 0755 0:0 0 - /nd",
                "l 0777 0:0 0 - /nd/abs -> /etc/passwd",
                "l 0777 0:0 0 - /nd/bad -> nowhere",
                "l 0777 0:0 0 - /nd/ln -> x",
                "d 0750 0:0 0 - /nd/sub",
                "f 0644 0:0 2 1000000000 /nd/sub/y",
                "f 0640 0:0 2 1000000000 /nd/x",
            ]),
        Case(
            instructions: "COPY d /nd/",
            result: [
                "d 0755 0:0 0 - /nd",
                "l 0777 0:0 0 - /nd/abs -> /etc/passwd",
                "l 0777 0:0 0 - /nd/bad -> nowhere",
                "l 0777 0:0 0 - /nd/ln -> x",
                "d 0750 0:0 0 - /nd/sub",
                "f 0644 0:0 2 1000000000 /nd/sub/y",
                "f 0640 0:0 2 1000000000 /nd/x",
            ]),
        Case(
            instructions: "COPY d/ /nd",
            result: [
                "d 0755 0:0 0 - /nd",
                "l 0777 0:0 0 - /nd/abs -> /etc/passwd",
                "l 0777 0:0 0 - /nd/bad -> nowhere",
                "l 0777 0:0 0 - /nd/ln -> x",
                "d 0750 0:0 0 - /nd/sub",
                "f 0644 0:0 2 1000000000 /nd/sub/y",
                "f 0640 0:0 2 1000000000 /nd/x",
            ]),
        Case(
            instructions: "COPY d/. /nd",
            result: [
                "d 0755 0:0 0 - /nd",
                "l 0777 0:0 0 - /nd/abs -> /etc/passwd",
                "l 0777 0:0 0 - /nd/bad -> nowhere",
                "l 0777 0:0 0 - /nd/ln -> x",
                "d 0750 0:0 0 - /nd/sub",
                "f 0644 0:0 2 1000000000 /nd/sub/y",
                "f 0640 0:0 2 1000000000 /nd/x",
            ]),
        Case(
            instructions: "COPY d /tmp",
            result: [
                "d 1777 0:0 0 - /tmp",
                "l 0777 0:0 0 - /tmp/abs -> /etc/passwd",
                "l 0777 0:0 0 - /tmp/bad -> nowhere",
                "l 0777 0:0 0 - /tmp/ln -> x",
                "d 0750 0:0 0 - /tmp/sub",
                "f 0644 0:0 2 1000000000 /tmp/sub/y",
                "f 0640 0:0 2 1000000000 /tmp/x",
            ]),
        Case(
            instructions: "COPY d e /both/",
            result: [
                "d 0755 0:0 0 - /both",
                "l 0777 0:0 0 - /both/abs -> /etc/passwd",
                "l 0777 0:0 0 - /both/bad -> nowhere",
                "l 0777 0:0 0 - /both/ln -> x",
                "d 0750 0:0 0 - /both/sub",
                "f 0644 0:0 2 1000000000 /both/sub/y",
                "f 0644 0:0 3 1000000000 /both/x",
                "f 0644 0:0 2 1000000000 /both/z.txt",
            ]),
        Case(
            instructions: "COPY . /all/",
            result: [
                "d 0755 0:0 0 - /all",
                "f 0644 0:0 23 1000000000 /all/Dockerfile",
                "f 0644 0:0 2 1000000000 /all/a.txt",
                "f 0600 0:0 2 1000000000 /all/b.txt",
                "d 0700 0:0 0 - /all/d",
                "l 0777 0:0 0 - /all/d/abs -> /etc/passwd",
                "l 0777 0:0 0 - /all/d/bad -> nowhere",
                "l 0777 0:0 0 - /all/d/ln -> x",
                "d 0750 0:0 0 - /all/d/sub",
                "f 0644 0:0 2 1000000000 /all/d/sub/y",
                "f 0640 0:0 2 1000000000 /all/d/x",
                "d 0755 0:0 0 - /all/e",
                "f 0644 0:0 3 1000000000 /all/e/x",
                "f 0644 0:0 2 1000000000 /all/e/z.txt",
                "d 0644 0:0 0 - /all/empty",
                "l 0777 0:0 0 - /all/lnabs -> /a.txt",
                "l 0777 0:0 0 - /all/lnd -> d",
                "l 0777 0:0 0 - /all/lnf -> a.txt",
                "l 0777 0:0 0 - /all/lnup -> ../../a.txt",
                "f 0755 0:0 10 1000000000 /all/run.sh",
                "f 0644 0:0 2 1000000000 /all/sp ace.txt",
                "f 0644 0:0 106 1000000000 /all/t.tgz",
                "f 0644 0:0 26 1000000000 /all/t.txt.gz",
            ]),
        Case(
            instructions: "COPY / /all/",
            result: [
                "d 0755 0:0 0 - /all",
                "f 0644 0:0 23 1000000000 /all/Dockerfile",
                "f 0644 0:0 2 1000000000 /all/a.txt",
                "f 0600 0:0 2 1000000000 /all/b.txt",
                "d 0700 0:0 0 - /all/d",
                "l 0777 0:0 0 - /all/d/abs -> /etc/passwd",
                "l 0777 0:0 0 - /all/d/bad -> nowhere",
                "l 0777 0:0 0 - /all/d/ln -> x",
                "d 0750 0:0 0 - /all/d/sub",
                "f 0644 0:0 2 1000000000 /all/d/sub/y",
                "f 0640 0:0 2 1000000000 /all/d/x",
                "d 0755 0:0 0 - /all/e",
                "f 0644 0:0 3 1000000000 /all/e/x",
                "f 0644 0:0 2 1000000000 /all/e/z.txt",
                "d 0644 0:0 0 - /all/empty",
                "l 0777 0:0 0 - /all/lnabs -> /a.txt",
                "l 0777 0:0 0 - /all/lnd -> d",
                "l 0777 0:0 0 - /all/lnf -> a.txt",
                "l 0777 0:0 0 - /all/lnup -> ../../a.txt",
                "f 0755 0:0 10 1000000000 /all/run.sh",
                "f 0644 0:0 2 1000000000 /all/sp ace.txt",
                "f 0644 0:0 106 1000000000 /all/t.tgz",
                "f 0644 0:0 26 1000000000 /all/t.txt.gz",
            ]),
        Case(instructions: "COPY /a.txt /x", result: ["f 0644 0:0 2 1000000000 /x"]),
        Case(instructions: "COPY ./a.txt ./x", result: ["f 0644 0:0 2 1000000000 /x"]),
        Case(instructions: "COPY empty /em", result: ["d 0755 0:0 0 - /em"]),
        Case(instructions: "COPY empty /em/", result: ["d 0755 0:0 0 - /em"]),
        Case(
            instructions: "COPY run.sh /usr/bin/",
            result: [
                "d 0755 0:0 0 - /usr",
                "d 0755 0:0 0 - /usr/bin",
                "f 0755 0:0 10 1000000000 /usr/bin/run.sh",
            ]),
        Case(instructions: "COPY lnf /x", result: ["f 0644 0:0 2 1000000000 /x"]),
        Case(
            instructions: "COPY lnd /x",
            result: [
                "d 0755 0:0 0 - /x",
                "l 0777 0:0 0 - /x/abs -> /etc/passwd",
                "l 0777 0:0 0 - /x/bad -> nowhere",
                "l 0777 0:0 0 - /x/ln -> x",
                "d 0750 0:0 0 - /x/sub",
                "f 0644 0:0 2 1000000000 /x/sub/y",
                "f 0640 0:0 2 1000000000 /x/x",
            ]),
        Case(instructions: "COPY lnabs /x", result: ["f 0644 0:0 2 1000000000 /x"]),
        Case(instructions: "COPY lnup /x", result: ["f 0644 0:0 2 1000000000 /x"]),
        Case(instructions: "COPY d/ln /x", result: ["f 0640 0:0 2 1000000000 /x"]),
        Case(
            instructions: "COPY d/abs /x",
            result: ["ERR COPY failed: file not found in build context or excluded by .dockerignore: stat d/abs: file does not exist"]),
        Case(
            instructions: "COPY d/bad /x",
            result: ["ERR COPY failed: file not found in build context or excluded by .dockerignore: stat d/bad: file does not exist"]),
        Case(
            instructions: "COPY ln* /q/",
            result: [
                "d 0755 0:0 0 - /q",
                "l 0777 0:0 0 - /q/abs -> /etc/passwd",
                "l 0777 0:0 0 - /q/bad -> nowhere",
                "l 0777 0:0 0 - /q/ln -> x",
                "f 0644 0:0 2 1000000000 /q/lnabs",
                "f 0644 0:0 2 1000000000 /q/lnf",
                "f 0644 0:0 2 1000000000 /q/lnup",
                "d 0750 0:0 0 - /q/sub",
                "f 0644 0:0 2 1000000000 /q/sub/y",
                "f 0640 0:0 2 1000000000 /q/x",
            ]),
        Case(
            instructions: "WORKDIR /w\nCOPY a.txt .",
            result: [
                "d 0755 0:0 0 - /w",
                "f 0644 0:0 2 1000000000 /w/a.txt",
            ]),
        Case(
            instructions: "WORKDIR /w\nCOPY a.txt x",
            result: [
                "d 0755 0:0 0 - /w",
                "f 0644 0:0 2 1000000000 /w/x",
            ]),
        Case(
            instructions: "WORKDIR /w\nCOPY a.txt ./",
            result: [
                "d 0755 0:0 0 - /w",
                "f 0644 0:0 2 1000000000 /w/a.txt",
            ]),
        Case(
            instructions: "WORKDIR /w\nCOPY d .",
            result: [
                "d 0755 0:0 0 - /w",
                "l 0777 0:0 0 - /w/abs -> /etc/passwd",
                "l 0777 0:0 0 - /w/bad -> nowhere",
                "l 0777 0:0 0 - /w/ln -> x",
                "d 0750 0:0 0 - /w/sub",
                "f 0644 0:0 2 1000000000 /w/sub/y",
                "f 0640 0:0 2 1000000000 /w/x",
            ]),
        Case(
            instructions: "WORKDIR /w\nCOPY a.txt ../x",
            result: [
                "d 0755 0:0 0 - /w",
                "f 0644 0:0 2 1000000000 /x",
            ]),
        Case(
            instructions: "WORKDIR /w\nCOPY a.txt .. ",
            result: [
                "f 0644 0:0 2 1000000000 /a.txt",
                "d 0755 0:0 0 - /w",
            ]),
        Case(
            instructions: "WORKDIR rel\nWORKDIR deep\nCOPY a.txt f",
            result: [
                "d 0755 0:0 0 - /rel",
                "d 0755 0:0 0 - /rel/deep",
                "f 0644 0:0 2 1000000000 /rel/deep/f",
            ]),
        Case(
            instructions: "COPY --chown=bob a.txt /x",
            result: ["ERR unable to convert uid/gid chown string to host mapping: can't find gid for group bob: no such group: bob"]),
        Case(
            instructions: "COPY --chown=bob:staff d /nn/dd",
            result: [
                "d 0755 0:0 0 - /nn",
                "d 0755 1000:50 0 - /nn/dd",
                "l 0777 1000:50 0 - /nn/dd/abs -> /etc/passwd",
                "l 0777 1000:50 0 - /nn/dd/bad -> nowhere",
                "l 0777 1000:50 0 - /nn/dd/ln -> x",
                "d 0750 1000:50 0 - /nn/dd/sub",
                "f 0644 1000:50 2 1000000000 /nn/dd/sub/y",
                "f 0640 1000:50 2 1000000000 /nn/dd/x",
            ]),
        Case(
            instructions: "COPY --chown=5:6 a.txt /n/",
            result: [
                "d 0755 5:6 0 - /n",
                "f 0644 5:6 2 1000000000 /n/a.txt",
            ]),
        Case(instructions: "COPY --chown=5 a.txt /x", result: ["f 0644 5:5 2 1000000000 /x"]),
        Case(
            instructions: "COPY --chown=:staff a.txt /x",
            result: ["ERR unable to convert uid/gid chown string to host mapping: can't find uid for user : no such user: "]),
        Case(instructions: "COPY --chown=bob:7 a.txt /x", result: ["f 0644 1000:7 2 1000000000 /x"]),
        Case(instructions: "COPY --chown=1000 a.txt /x", result: ["f 0644 1000:1000 2 1000000000 /x"]),
        Case(instructions: "USER bob\nCOPY a.txt /x", result: ["f 0644 0:0 2 1000000000 /x"]),
        Case(
            instructions: "USER bob\nWORKDIR /wb/c",
            result: [
                "d 0755 0:0 0 - /wb",
                "d 0755 0:0 0 - /wb/c",
            ]),
        Case(
            instructions: "RUN ln -s /data /link\nCOPY a.txt /link/x",
            result: [
                "d 0755 0:0 0 - /data",
                "f 0644 0:0 2 1000000000 /data/x",
                "l 0777 0:0 0 - /link -> /data",
            ]),
        Case(
            instructions: "RUN mkdir /data && ln -s /data /link\nCOPY a.txt /link",
            result: [
                "d 0755 0:0 0 - /data",
                "f 0644 0:0 2 1000000000 /data/a.txt",
                "l 0777 0:0 0 - /link -> /data",
            ]),
        Case(
            instructions: "RUN mkdir /data && ln -s /data /link\nCOPY a.txt /link/",
            result: [
                "d 0755 0:0 0 - /data",
                "f 0644 0:0 2 1000000000 /data/a.txt",
                "l 0777 0:0 0 - /link -> /data",
            ]),
        Case(
            instructions: "RUN ln -s /tgt /link\nCOPY a.txt /link",
            result: [
                "l 0777 0:0 0 - /link -> /tgt",
                "f 0644 0:0 2 1000000000 /tgt",
            ]),
        Case(
            instructions: "RUN echo o>/tgt && ln -s /tgt /link\nCOPY a.txt /link",
            result: [
                "l 0777 0:0 0 - /link -> /tgt",
                "f 0644 0:0 2 1000000000 /tgt",
            ]),
        Case(
            instructions: "RUN mkdir -p /k/x\nCOPY d /k",
            result: [
                "d 0755 0:0 0 - /k",
                "l 0777 0:0 0 - /k/abs -> /etc/passwd",
                "l 0777 0:0 0 - /k/bad -> nowhere",
                "l 0777 0:0 0 - /k/ln -> x",
                "d 0750 0:0 0 - /k/sub",
                "f 0644 0:0 2 1000000000 /k/sub/y",
                "f 0640 0:0 2 1000000000 /k/x",
            ]),
        Case(
            instructions: "RUN mkdir -p /k/x\nCOPY a.txt /k/x/",
            result: [
                "d 0755 0:0 0 - /k",
                "d 0755 0:0 0 - /k/x",
                "f 0644 0:0 2 1000000000 /k/x/a.txt",
            ]),
        Case(
            instructions: "RUN mkdir -p /k && ln -s /etc/passwd /k/x\nCOPY d /k",
            result: [
                "d 0755 0:0 0 - /k",
                "l 0777 0:0 0 - /k/abs -> /etc/passwd",
                "l 0777 0:0 0 - /k/bad -> nowhere",
                "l 0777 0:0 0 - /k/ln -> x",
                "d 0750 0:0 0 - /k/sub",
                "f 0644 0:0 2 1000000000 /k/sub/y",
                "f 0640 0:0 2 1000000000 /k/x",
            ]),
        Case(
            instructions: "RUN mkdir -p /k && ln -s /tmp /k/sub\nCOPY d /k",
            result: [
                "d 0755 0:0 0 - /k",
                "l 0777 0:0 0 - /k/abs -> /etc/passwd",
                "l 0777 0:0 0 - /k/bad -> nowhere",
                "l 0777 0:0 0 - /k/ln -> x",
                "d 0750 0:0 0 - /k/sub",
                "f 0644 0:0 2 1000000000 /k/sub/y",
                "f 0640 0:0 2 1000000000 /k/x",
            ]),
        Case(
            instructions: "RUN mkdir -p /k && touch /k/sub\nCOPY d /k",
            result: [
                "d 0755 0:0 0 - /k",
                "l 0777 0:0 0 - /k/abs -> /etc/passwd",
                "l 0777 0:0 0 - /k/bad -> nowhere",
                "l 0777 0:0 0 - /k/ln -> x",
                "d 0750 0:0 0 - /k/sub",
                "f 0644 0:0 2 1000000000 /k/sub/y",
                "f 0640 0:0 2 1000000000 /k/x",
            ]),
        Case(
            instructions: "RUN mkdir -p /k && ln -s nowhere /k/sub\nCOPY d /k",
            result: [
                "d 0755 0:0 0 - /k",
                "l 0777 0:0 0 - /k/abs -> /etc/passwd",
                "l 0777 0:0 0 - /k/bad -> nowhere",
                "l 0777 0:0 0 - /k/ln -> x",
                "d 0750 0:0 0 - /k/sub",
                "f 0644 0:0 2 1000000000 /k/sub/y",
                "f 0640 0:0 2 1000000000 /k/x",
            ]),
        Case(
            instructions: "RUN mkdir -m 711 -p /k\nRUN chown bob /k\nCOPY d /k",
            result: [
                "d 0711 1000:0 0 - /k",
                "l 0777 0:0 0 - /k/abs -> /etc/passwd",
                "l 0777 0:0 0 - /k/bad -> nowhere",
                "l 0777 0:0 0 - /k/ln -> x",
                "d 0750 0:0 0 - /k/sub",
                "f 0644 0:0 2 1000000000 /k/sub/y",
                "f 0640 0:0 2 1000000000 /k/x",
            ]),
        Case(
            instructions: "RUN mkdir -p /k/a.txt\nCOPY a.txt /k/",
            result: [
                "d 0755 0:0 0 - /k",
                "f 0644 0:0 2 1000000000 /k/a.txt",
            ]),
        Case(
            instructions: "RUN touch /k\nCOPY a.txt /k/",
            result: [
                "ERR failed to copy files: failed to create new directory: mkdir /tmp/dr-bld/overlay2/20d2357122287e90063d0b65d8a33ea4c51ff54ac6a91d11879b55a6bc1eb74e/merged/k: not a directory"
            ]),
        Case(
            instructions: "RUN touch /k\nCOPY d /k",
            result: [
                "ERR failed to copy files: failed to copy directory: mkdir /tmp/dr-bld/overlay2/7598b6e24ce877a40e7d22819967fd76846c46a3c7be03ab8f8ef2eef8cb62fd/merged/k: not a directory"
            ]),
        Case(
            instructions: "RUN mkdir /k\nCOPY a.txt b.txt /k",
            result: ["ERR When using COPY with more than one source file, the destination must be a directory and end with a /"]),
        Case(instructions: "ADD a.txt /x", result: ["f 0644 0:0 2 1000000000 /x"]),
        Case(
            instructions: "ADD t.tgz /x",
            result: [
                "d 0755 0:0 0 - /x",
                "d 0755 0:0 0 - /x/in",
                "f 0600 7:8 2 900000000 /x/in/f",
            ]),
        Case(
            instructions: "ADD t.tgz /x/",
            result: [
                "d 0755 0:0 0 - /x",
                "d 0755 0:0 0 - /x/in",
                "f 0600 7:8 2 900000000 /x/in/f",
            ]),
        Case(
            instructions: "ADD t.tgz /x/y",
            result: [
                "d 0755 0:0 0 - /x",
                "d 0755 0:0 0 - /x/y",
                "d 0755 0:0 0 - /x/y/in",
                "f 0600 7:8 2 900000000 /x/y/in/f",
            ]),
        Case(instructions: "ADD t.txt.gz /x", result: ["f 0644 0:0 26 1000000000 /x"]),
        Case(
            instructions: "ADD t.txt.gz /x/",
            result: [
                "d 0755 0:0 0 - /x",
                "f 0644 0:0 26 1000000000 /x/t.txt.gz",
            ]),
        Case(
            instructions: "ADD --chown=bob t.tgz /x/",
            result: ["ERR unable to convert uid/gid chown string to host mapping: can't find gid for group bob: no such group: bob"]),
        Case(instructions: "COPY t.tgz /x", result: ["f 0644 0:0 106 1000000000 /x"]),
        Case(
            instructions: "ADD t.tgz a.txt /x/",
            result: [
                "d 0755 0:0 0 - /x",
                "f 0644 0:0 2 1000000000 /x/a.txt",
                "d 0755 0:0 0 - /x/in",
                "f 0600 7:8 2 900000000 /x/in/f",
            ]),
        Case(
            instructions: "ADD d /x",
            result: [
                "d 0755 0:0 0 - /x",
                "l 0777 0:0 0 - /x/abs -> /etc/passwd",
                "l 0777 0:0 0 - /x/bad -> nowhere",
                "l 0777 0:0 0 - /x/ln -> x",
                "d 0750 0:0 0 - /x/sub",
                "f 0644 0:0 2 1000000000 /x/sub/y",
                "f 0640 0:0 2 1000000000 /x/x",
            ]),
        Case(
            instructions: "ADD e/* t.tgz /m/",
            result: [
                "d 0755 0:0 0 - /m",
                "d 0755 0:0 0 - /m/in",
                "f 0600 7:8 2 900000000 /m/in/f",
                "f 0644 0:0 3 1000000000 /m/x",
                "f 0644 0:0 2 1000000000 /m/z.txt",
            ]),
        Case(
            instructions: "COPY [\"sp ace.txt\", \"/o ut/\"]",
            result: [
                "d 0755 0:0 0 - /o ut",
                "f 0644 0:0 2 1000000000 /o ut/sp ace.txt",
            ]),
        Case(
            instructions: "COPY \"sp ace.txt\" /x",
            result: ["ERR failed to process \"\\\"sp\": unexpected end of statement while looking for matching double-quote"]),
        Case(
            instructions: "COPY sp\\ ace.txt /x",
            result: ["ERR COPY failed: file not found in build context or excluded by .dockerignore: stat sp: file does not exist"]),
        Case(
            instructions: "ENV F=a D=/q\nCOPY ${F}.txt $D/",
            result: [
                "d 0755 0:0 0 - /q",
                "f 0644 0:0 2 1000000000 /q/a.txt",
            ]),
        Case(
            instructions: "COPY a.txt a.txt /x/",
            result: [
                "d 0755 0:0 0 - /x",
                "f 0644 0:0 2 1000000000 /x/a.txt",
            ]),
        Case(
            instructions: "COPY a.txt d/../b.txt /x/",
            result: [
                "d 0755 0:0 0 - /x",
                "f 0644 0:0 2 1000000000 /x/a.txt",
                "f 0600 0:0 2 1000000000 /x/b.txt",
            ]),
        Case(instructions: "COPY a.txt /x/.", result: ["f 0644 0:0 2 1000000000 /x"]),
        Case(instructions: "COPY a.txt /x/..", result: ["f 0644 0:0 2 1000000000 /a.txt"]),
        Case(instructions: "COPY a.txt //x", result: ["f 0644 0:0 2 1000000000 /x"]),
        Case(instructions: "COPY a.txt /etc/../x", result: ["f 0644 0:0 2 1000000000 /x"]),
        Case(instructions: "COPY Dockerfile /", result: ["f 0644 0:0 28 1000000000 /Dockerfile"]),
        Case(instructions: "COPY --from=base /etc/passwd /p", result: ["f 0644 0:0 137 now /p"]),
        Case(
            instructions: "COPY --from=base /etc /e",
            result: [
                "d 0755 0:0 0 - /e",
                "f 0644 0:0 60 now /e/group",
                "f 0644 0:0 137 now /e/passwd",
            ]),
        Case(instructions: "COPY --from=base etc/passwd /p", result: ["f 0644 0:0 137 now /p"]),
        Case(instructions: "COPY --from=base /tmp /tt", result: ["d 0755 0:0 0 - /tt"]),
        Case(
            instructions: "RUN chown -R bob /etc && chmod 600 /etc/passwd\nCOPY --from=0 /etc/passwd /p2",
            result: ["ERR invalid from flag value 0: refers to current build stage"]),
        Case(
            instructions: "COPY --from=base --chown=bob /etc/passwd /p",
            result: ["ERR unable to convert uid/gid chown string to host mapping: can't find gid for group bob: no such group: bob"]),
    ]
}
