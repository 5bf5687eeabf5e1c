internal import CLinux
internal import Glibc

/// A pseudoterminal (pty(7)): the master stays outside, the slave becomes a program's terminal.
public struct PseudoTerminal: ~Copyable {
    public var master: OwnedFD
    public var slave: OwnedFD

    /// Opens a new pair in the devpts instance whose `ptmx` file is given, and proves that it is one. The slave is
    /// opened through the master (TIOCGPTPEER, Linux 4.13), not by name: a name can be mounted over.
    public static func open(ptmx: consuming OwnedFD) throws(SystemError) -> PseudoTerminal {
        var type = 0
        var flags = 0
        try retrying("stat", "pseudoterminal") { clp_fstatfs(ptmx.raw, &type, &flags) }
        guard type == Int(DEVPTS_SUPER_MAGIC) else {
            throw SystemError("open pseudoterminal: ptmx is not on a devpts filesystem", code: ENOTTY)
        }
        let master = ptmx
        try retrying("unlock pseudoterminal") { clp_pty_unlock(master.raw) }
        let slave = OwnedFD(owning: try retrying("open pseudoterminal's slave") { clp_pty_peer(master.raw) })
        return PseudoTerminal(master: master, slave: slave)
    }

    init(master: consuming OwnedFD, slave: consuming OwnedFD) {
        self.master = master
        self.slave = slave
    }

    /// Makes the slave the controlling terminal of the calling session leader and its 0, 1 and 2.
    public func becomeStandardStreams() throws(SystemError) {
        try retrying("set controlling terminal") { clp_terminal_control(slave.raw) }
        for number: Int32 in 0...2 { try retrying("duplicate terminal") { dup2(slave.raw, number) } }
    }

    /// Splits the pair: the slave is closed, the master given away.
    public consuming func takeMaster() -> OwnedFD { master }
}

/// Sizes of terminals, in characters.
public enum Terminal {
    /// Lets line ends through as they are written (ONLCR off, termios(3)): whoever shows the output ends lines in its own way.
    public static func leaveLineEnds(_ fd: Int32) throws(SystemError) {
        var settings = termios()
        try retrying("get terminal settings") { tcgetattr(fd, &settings) }
        settings.c_oflag &= ~tcflag_t(ONLCR)
        try retrying("set terminal settings") { tcsetattr(fd, TCSANOW, &settings) }
    }

    public static func setSize(_ fd: Int32, rows: UInt16, columns: UInt16) throws(SystemError) {
        try retrying("set terminal size") { clp_terminal_set_size(fd, rows, columns) }
    }

    public static func size(_ fd: Int32) -> (rows: UInt16, columns: UInt16)? {
        var rows: UInt16 = 0
        var columns: UInt16 = 0
        return clp_terminal_get_size(fd, &rows, &columns) == 0 ? (rows, columns) : nil
    }
}
